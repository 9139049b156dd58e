"""Every option, ini key and marker as data, and the frozen ``Settings`` made from them.

An option has one true name, ``--applesilicon-<name>``, and one ini key,
``applesilicon_<name>``. The short spelling (``--device``) is a convenience: it is added after
every other plugin and conftest.py has declared its own, and only if nobody else wants it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.simulate.faults import Fault

FRAMEWORKS = ("torch", "tensorflow", "mlx", "jax", "numpy")
ARCHITECTURES = ("any", "native", "arm64", "x86_64")
DTYPES = (
    "float32",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
    "complex64",
)
FAIL_ON = ("wrong", "unsupported", "fallback", "not-run")
REGRESSION_SIZES = ("S", "M", "L")
DEVICES = ("auto", "cpu", "mps", "mps-sim", "cuda", "cuda:N")


@dataclass(frozen=True)
class Option:
    """One option: on the command line, in the ini file and in the header."""

    name: str
    default: str
    metavar: str
    help: str
    short: str | None = None
    choices: tuple[str, ...] = ()
    """Accepted values, where they are few enough to list."""
    const: str | None = None
    """The value where the option is given without one."""
    append: bool = False
    """May be given several times; the values are joined by commas."""
    flag: bool = False
    """Given without a value on the command line; in the ini file yes or no."""

    @property
    def true_name(self) -> str:
        return "--applesilicon-" + self.name

    @property
    def dest(self) -> str:
        return "applesilicon_" + self.name.replace("-", "_")

    @property
    def spelling(self) -> str:
        """The name a message uses: the short one where there is one."""
        return self.short or self.true_name


OPTIONS: tuple[Option, ...] = (
    Option(
        "device",
        "auto",
        "SPEC[,SPEC]",
        "Device to test on: auto, cpu, mps, mps-sim (simulated, on Linux), cuda, cuda:N; a comma "
        "list runs each test on each. auto takes the best one that works: mps, then cuda, then cpu",
        short="--device",
    ),
    Option(
        "arch",
        "any",
        "ARCH",
        "Architecture the interpreter must have: any, native (not translated by Rosetta), "
        "arm64 or x86_64; arm64,x86_64 (or x86_64,arm64) runs every test in an interpreter of each",
        short="--arch",
        choices=(*ARCHITECTURES, "arm64,x86_64", "x86_64,arm64"),
    ),
    Option(
        "arch-python",
        "",
        "ARCH=PATH",
        "Interpreter of an architecture for --arch=arm64,x86_64; may be given for each",
        short="--arch-python",
        append=True,
    ),
    Option(
        "framework",
        "",
        "NAME[,NAME]",
        "Framework to test: torch, tensorflow, mlx, jax or numpy; the default is the first "
        "of these that is installed",
        short="--framework",
    ),
    Option(
        "device-missing",
        "error",
        "error|skip",
        "What to do when a requested device is absent or unusable: stop with exit status 4, "
        "or skip its tests",
        short="--device-missing",
        choices=("error", "skip"),
    ),
    Option(
        "mps-fallback",
        "error",
        "error|allow",
        "Whether torch may run an operator that MPS lacks on the CPU "
        "(sets PYTORCH_ENABLE_MPS_FALLBACK before torch is imported)",
        short="--mps-fallback",
        choices=("error", "allow"),
    ),
    Option(
        "size",
        "quick",
        "quick|full",
        "Size of the bundled suites; published figures are compared only at full",
        short="--size",
        choices=("quick", "full"),
    ),
    Option("seed", "0", "N", "Seed the bundled suites draw from", short="--seed"),
    Option(
        "mnist",
        "",
        "PATH",
        "MNIST to train on: an .npz file or a folder of idx files; the default is a cache of "
        "Keras or torchvision, then the shipped subset",
        short="--mnist",
    ),
    Option(
        "ops",
        "",
        "REGEX",
        "Operators of suites/ops: those whose name the expression finds; the default is all",
        short="--ops",
    ),
    Option(
        "dtypes",
        "",
        "NAME[,NAME]",
        "Dtypes of suites/ops: " + ", ".join(DTYPES) + "; the default is all",
        short="--dtypes",
    ),
    Option(
        "samples",
        "",
        "N|all",
        "Samples per operator, dtype and direction in suites/ops; the default is 2 at "
        "--size=quick and all at full",
        short="--samples",
    ),
    Option(
        "fail-on",
        "wrong",
        "OUTCOME[,OUTCOME]",
        "Outcomes of an operator that fail its test: wrong (always), unsupported, fallback, "
        "not-run",
        short="--fail-on",
    ),
    Option(
        "monitor",
        "",
        "SECONDS",
        "Sample memory and CPU of the test process this often (1 where no number is given); "
        "needs psutil",
        short="--monitor",
        const="1",
    ),
    Option(
        "regression-size",
        "S",
        "S|M|L",
        "Largest tests of suites/regressions to run: S below 100 MB each, M below 2 GB or slow, "
        "L several GB, after a look at the memory of the host",
        short="--regression-size",
        choices=REGRESSION_SIZES,
    ),
    Option(
        "regression-limit",
        str(2**32),
        "N",
        "Number of elements that stands for 2**32 in the tests of size L: with a smaller one "
        "their code runs in little memory",
        short="--regression-limit",
    ),
    Option(
        "faults",
        "",
        "NAME[,NAME]|FILE.py|help|each",
        "Faults to switch on in the simulated device, with --device=mps-sim only: names, "
        "NAME@LIMIT for a fault of a size, a file that defines FAULTS; none; help lists them; "
        "each runs the tests once for every fault",
        short="--faults",
    ),
    Option(
        "isolate",
        "auto",
        "auto|always|never",
        "Which tests run in a child process, so that a crash or a hang ends only that test: "
        "auto takes those marked isolated and those that crashed once, as pytest's cache knows",
        short="--isolate",
        choices=("auto", "always", "never"),
    ),
    Option(
        "isolate-timeout",
        "300",
        "SECONDS",
        "How long a test may take in its child process before it counts as hung; the "
        "marker's timeout wins",
        short="--isolate-timeout",
    ),
    Option(
        "known-failures",
        "",
        "PATH",
        "The file of known failures (known_failures.toml): an unlisted failure, another "
        "exception and a pass are red",
        short="--known-failures",
    ),
    Option(
        "known-failures-record",
        "no",
        "",
        "Write what failed now into the file of known failures, keeping its comments "
        "(in the ini file: yes or no)",
        short="--known-failures-record",
        choices=("yes", "no"),
        flag=True,
    ),
    Option(
        "strict-known-failures",
        "no",
        "",
        "Fail the run for an entry that matches no collected test (in the ini file: yes or no)",
        short="--strict-known-failures",
        choices=("yes", "no"),
        flag=True,
    ),
    Option(
        "repeat-failed",
        "0",
        "N",
        "Run a failed device test N times again and record whether it is deterministic; it "
        "stays failed",
        short="--repeat-failed",
    ),
    Option("report", "", "PATH", "Write the JSON report here"),
)

MARKERS: dict[str, str] = {
    "requires_mps(framework=, min_macos=, min_torch=, min_memory_gb=, dtype=, physical=)": (
        "run only where the device of the test is mps and every condition holds; "
        "physical=True refuses a virtual machine and a simulated device"
    ),
    "native_only": "skip where this interpreter is translated by Rosetta",
    "skip_on_device(spec, reason=)": "skip on the devices that the spec names",
    "xfail_on_device(spec, raises=, reason=, strict=True)": (
        "expect to fail on the devices that the spec names"
    ),
    "max_host_syncs(n)": (
        "fail if the host waits for the device more than n times in this test, naming the "
        "lines (counted on mps-sim)"
    ),
    "no_fallback": "fail if an operator of this test ran on the CPU instead of MPS",
    "frameworks(name, ...)": "the frameworks this test is written for",
    "isolated(timeout=)": (
        "run in a child process: a crash, or no end within timeout seconds, ends this test only"
    ),
}


#: The names alone, to find a marker of ours quickly.
MARKER_NAMES = frozenset(marker.partition("(")[0] for marker in MARKERS)


#: An option, ini key or marker has a value that is not accepted: pytest ends with status 4.
OptionError = pytest.UsageError


@dataclass(frozen=True)
class Settings:
    """What was asked of this run."""

    devices: tuple[str, ...]
    arch: str
    """One of ``ARCHITECTURES``, or two names with a comma between."""
    frameworks: tuple[str, ...]
    """Empty: the first one installed."""
    device_missing: str
    mps_fallback: str
    size: str
    seed: int
    mnist: str | None
    report: Path | None
    ops: str
    """A regular expression; empty for all operators."""
    dtypes: tuple[str, ...]
    samples: int | None
    """Per operator, dtype and direction; ``None`` for all."""
    fail_on: tuple[str, ...]
    arch_python: tuple[tuple[str, str], ...]
    """Architecture and path of the interpreters that were named."""
    monitor_s: float | None
    """Seconds between two samples; ``None`` without monitoring."""
    faults: tuple[Fault, ...]
    isolate: str
    isolate_timeout_s: float
    known_failures: Path | None
    known_failures_record: bool
    strict_known_failures: bool
    repeat_failed: int
    regression_size: str
    regression_limit: int
    """Stands for 2**32 elements."""
    explicit: frozenset[str]
    """Names of the options that the command line or the ini file gave."""

    @property
    def active(self) -> bool:
        """Whether anything was asked of this plugin."""
        return bool(self.explicit)

    def as_text(self) -> dict[str, str]:
        """Every setting by option name, as the header and the report show it."""
        return {
            "device": ",".join(self.devices),
            "arch": self.arch,
            "arch-python": _pairs_text(self.arch_python) or "found",
            "framework": ",".join(self.frameworks) or "first installed",
            "device-missing": self.device_missing,
            "mps-fallback": self.mps_fallback,
            "size": self.size,
            "seed": str(self.seed),
            "mnist": self.mnist or "found",
            "ops": self.ops or "all",
            "dtypes": "all" if self.dtypes == DTYPES else ",".join(self.dtypes),
            "samples": "all" if self.samples is None else str(self.samples),
            "fail-on": ",".join(dict.fromkeys(self.fail_on)),
            "monitor": "off" if self.monitor_s is None else f"{self.monitor_s:g}",
            "regression-size": self.regression_size,
            "regression-limit": str(self.regression_limit),
            "faults": ",".join(fault.name for fault in self.faults) or "none",
            "isolate": self.isolate,
            "isolate-timeout": f"{self.isolate_timeout_s:g}",
            "known-failures": self.known_failures.name if self.known_failures else "none",
            "known-failures-record": "yes" if self.known_failures_record else "no",
            "strict-known-failures": "yes" if self.strict_known_failures else "no",
            "repeat-failed": str(self.repeat_failed),
        }

    @classmethod
    def from_pytest(cls, config: pytest.Config) -> Settings:
        """The settings of a run; the command line wins over the ini file.

        Raises:
            OptionError: a value is not accepted.
        """
        values: dict[str, str] = {}
        origins: dict[str, str] = {}
        for option in OPTIONS:
            given = config.getoption(option.dest, None)
            ini = config.getini(option.dest)
            if given is not None:
                values[option.name] = ",".join(given) if option.append else given
                origins[option.name] = option.spelling
            elif ini:
                values[option.name] = _of_ini(config, option, ini)
                origins[option.name] = f"ini key {option.dest}"
            else:
                values[option.name], origins[option.name] = option.default, option.spelling
        explicit = frozenset(
            option.name
            for option in OPTIONS
            if config.getoption(option.dest, None) is not None or config.getini(option.dest)
        )
        return parse_settings(values, origins, explicit, config.invocation_params.dir)


def _of_ini(config: pytest.Config, option: Option, value: str) -> str:
    """A value of the ini file; the file of known failures is found from any folder."""
    if option.name == "known-failures" and config.inipath is not None:
        return str(config.inipath.parent / Path(value).expanduser())
    return value


def parse_settings(
    values: dict[str, str], origins: dict[str, str], explicit: frozenset[str], folder: Path
) -> Settings:
    """Settings from raw text; paths are relative to ``folder``.

    Raises:
        OptionError: naming the option or ini key, the value and what is accepted.
    """
    for option in OPTIONS:
        if option.choices and values[option.name] not in option.choices:
            raise _refused(origins[option.name], values[option.name], option.choices)
    mnist, report, known = (
        _parse_path(values[name], origins[name], folder)
        for name in ("mnist", "report", "known-failures")
    )
    return Settings(
        devices=parse_devices(values["device"], origins["device"]),
        arch=values["arch"],
        frameworks=_parse_names(values["framework"], origins["framework"], FRAMEWORKS),
        device_missing=values["device-missing"],
        mps_fallback=values["mps-fallback"],
        size=values["size"],
        seed=_parse_seed(values["seed"], origins["seed"]),
        mnist=str(mnist) if mnist else None,
        report=report,
        ops=_parse_expression(values["ops"], origins["ops"]),
        dtypes=_parse_names(values["dtypes"], origins["dtypes"], DTYPES) or DTYPES,
        samples=_parse_samples(values["samples"], origins["samples"], values["size"]),
        monitor_s=_parse_monitor(values["monitor"], origins["monitor"]),
        arch_python=_parse_pythons(values["arch-python"], origins["arch-python"]),
        faults=_parse_faults(values, origins["faults"], folder),
        fail_on=("wrong", *_parse_names(values["fail-on"], origins["fail-on"], FAIL_ON)),
        regression_size=values["regression-size"],
        regression_limit=_parse_limit(values["regression-limit"], origins["regression-limit"]),
        isolate=values["isolate"],
        known_failures=known,
        known_failures_record=values["known-failures-record"] == "yes",
        strict_known_failures=values["strict-known-failures"] == "yes",
        repeat_failed=_parse_repeats(values["repeat-failed"], origins["repeat-failed"]),
        isolate_timeout_s=_parse_seconds(values["isolate-timeout"], origins["isolate-timeout"]),
        explicit=explicit,
    )


def parse_devices(text: str, origin: str) -> tuple[str, ...]:
    """Device specs from a comma list, each once, in the order given.

    Raises:
        OptionError: a spec is not known.
    """
    specs = [spec.strip() for spec in text.split(",")]
    for spec in specs:
        if spec not in DEVICES[:-1] and not re.fullmatch(r"cuda:[0-9]+", spec):
            raise _refused(origin, spec, DEVICES, "a device or a comma list of devices")
    return tuple(dict.fromkeys(specs))


def _parse_names(text: str, origin: str, choices: Sequence[str]) -> tuple[str, ...]:
    """The names of a comma list, each once; none where the text is empty."""
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if name not in choices:
            raise _refused(origin, name, choices)
    return tuple(dict.fromkeys(names))


def _parse_pythons(text: str, origin: str) -> tuple[tuple[str, str], ...]:
    """Architecture and path, from ``ARCH=PATH`` with commas between."""
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, path = part.strip().partition("=")
        if name not in ARCHITECTURES[2:] or not equals or not path:
            raise OptionError(f"{origin}: {part!r} is not accepted; give arm64=PATH or x86_64=PATH")
        found[name] = path
    return tuple(found.items())


def _parse_monitor(text: str, origin: str) -> float | None:
    if not text:
        return None
    # The shortest is far above what one sample costs (some 0.1 ms).
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or float(text) < 0.05:
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give seconds from 0.05, as {origin}=0.5"
        )
    return float(text)


def _pairs_text(pairs: Sequence[tuple[str, str]]) -> str:
    return ",".join(f"{name}={value}" for name, value in pairs)


def _parse_faults(values: dict[str, str], origin: str, folder: Path) -> tuple[Fault, ...]:
    text = values["faults"]
    if text in ("", "none", "help", "each"):
        return ()
    if values["device"] != "mps-sim":
        raise OptionError(
            f"{origin}: {text!r} is accepted only with --device=mps-sim, "
            f"and this is --device={values['device']}"
        )
    from pytest_applesilicon.simulate import fault_names

    try:
        return fault_names.load(text, folder)
    except fault_names.FaultError as error:
        raise OptionError(f"{origin}: {error}") from None


def _parse_expression(text: str, origin: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give a regular expression: {error}"
        ) from None
    return text


def _parse_samples(text: str, origin: str, size: str) -> int | None:
    if not text:
        return 2 if size == "quick" else None
    if text == "all":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise OptionError(f"{origin}: {text!r} is not accepted; give all, or a number from 1")
    return int(text)


def _parse_seed(text: str, origin: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give a whole number from 0 to 999999999"
        )
    return int(text)


def _parse_repeats(text: str, origin: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise OptionError(f"{origin}: {text!r} is not accepted; give a number from 0 to 999")
    return int(text)


def _parse_limit(text: str, origin: str) -> int:
    if not re.fullmatch(r"[0-9]{5,10}", text) or not 2**16 <= int(text) <= 2**32:
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give a whole number from 65536 to 4294967296"
        )
    return int(text)


def _parse_seconds(text: str, origin: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) or float(text) == 0:
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give a number of seconds above 0, below 1000000"
        )
    return float(text)


def _parse_path(text: str, origin: str, folder: Path) -> Path | None:
    try:
        return folder / Path(text).expanduser() if text else None
    except RuntimeError:
        user = Path(text).parts[0]
        raise OptionError(
            f"{origin}: {text!r} is not accepted; the home folder of {user} is not known"
        ) from None


def _refused(origin: str, value: str, choices: Sequence[str], what: str = "one of") -> OptionError:
    return OptionError(f"{origin}: {value!r} is not accepted; give {what}: {', '.join(choices)}")


def named(name: str) -> Option:
    """The option of this name."""
    return next(option for option in OPTIONS if option.name == name)


def given_text(config: pytest.Config, option: Option) -> str:
    """What the command line, the ini file or the default says of one option."""
    given = config.getoption(option.dest, None)
    return str(given if given is not None else config.getini(option.dest) or option.default)


#: The settings of a run, put there when the session starts.
SETTINGS = pytest.StashKey[Settings]()

#: The interpreters of a run in several architectures, put there before the session starts.
INTERPRETERS = pytest.StashKey[Any]()


def settings_of(config: pytest.Config) -> Settings:
    """The settings of a run whose session has started."""
    return config.stash[SETTINGS]


def asks_for_places(config: pytest.Config) -> bool:
    """Whether each of several workers is to run every test, and something of ours is used."""
    several = "," in (config.getoption("applesilicon_arch") or config.getini("applesilicon_arch"))
    each = config.getoption("dist", default="no") == "each" or hasattr(config, "workerinput")
    return several or (
        each
        and any(
            config.getoption(option.dest, None) is not None or config.getini(option.dest)
            for option in OPTIONS
        )
    )


def declare(parser: pytest.Parser) -> None:
    """Declare the true names and the ini keys."""
    group = parser.getgroup("applesilicon", "Apple silicon (pytest-applesilicon)")
    for option in OPTIONS:
        also = f" (short: {option.short})" if option.short else ""
        group.addoption(option.true_name, help=option.help + also, **_argument(option))
        parser.addini(option.dest, option.help, default="")


def _argument(option: Option) -> dict[str, Any]:
    """How argparse reads an option."""
    taken: dict[str, Any] = {"dest": option.dest, "default": None}
    if option.flag:
        return {**taken, "action": "store_const", "const": "yes"}
    taken["metavar"] = option.metavar
    if option.append:
        return {**taken, "action": "append"}
    return {**taken, "nargs": "?", "const": option.const} if option.const else taken


def declare_short(parser: pytest.Parser) -> tuple[str, ...]:
    """Declare the short spellings that nobody else has; returns those that somebody has.

    Must be called when every plugin and every initial conftest.py has declared its options.
    The parser is asked what it makes of each spelling, because pytest before 9 reports two
    definitions of one option only when it parses, when ours can no longer be withdrawn.
    """
    short = [option for option in OPTIONS if option.short]
    taken = _taken(parser, [str(option.short) for option in short])
    group = parser.getgroup("applesilicon")
    for option in short:
        if option.short not in taken:
            help_text = f"Short for {option.true_name}"
            group.addoption(str(option.short), help=help_text, **_argument(option))
    return taken


def _taken(parser: pytest.Parser, names: list[str]) -> tuple[str, ...]:
    probes = [f"{name}=" for name in names]
    try:
        _, unknown = parser.parse_known_and_unknown_args(probes)
    except (Exception, SystemExit):
        # Somebody's own type or choices refused the empty value; ask about each alone.
        if len(names) == 1:
            return tuple(names)
        return tuple(name for name in names for _ in _taken(parser, [name]))
    return tuple(name for name, probe in zip(names, probes, strict=True) if probe not in unknown)


def early_fallback(config: pytest.Config, args: Sequence[str]) -> str | None:
    """What ``--mps-fallback`` will be, before the short spellings are declared.

    conftest.py files are about to be loaded, and one that imports torch fixes torch's
    fallback for good. ``None`` where nothing is asked of this plugin.
    """
    names = {name for option in OPTIONS for name in (option.true_name, option.short)}
    asked = any(arg.partition("=")[0] in names for arg in args)
    if not asked and not any(config.getini(option.dest) for option in OPTIONS):
        return None
    option = next(option for option in OPTIONS if option.name == "mps-fallback")
    value = config.getini(option.dest) or option.default
    for arg, following in zip(args, [*args, ""][1:], strict=True):
        name, equals, given = arg.partition("=")
        if name in (option.true_name, option.short):
            value = given if equals else following
    return value if value in option.choices else None


def early_simulation(config: pytest.Config, args: Sequence[str]) -> bool:
    """Whether ``--device`` will name the simulated device, before conftest.py files are loaded.

    It must be put into torch before the first backward pass of the process. In a worker of
    pytest-xdist the option comes from the controller, not from ``args``.
    """
    option = next(option for option in OPTIONS if option.name == "device")
    value = getattr(config.option, option.dest, None) or config.getini(option.dest)
    for arg, following in zip(args, [*args, ""][1:], strict=True):
        name, equals, given = arg.partition("=")
        if name in (option.true_name, option.short):
            value = given if equals else following
    return "mps-sim" in [spec.strip() for spec in str(value or "").split(",")]


def describe_taken(config: pytest.Config, taken: Sequence[str]) -> list[str]:
    """Header lines for the short spellings that belong to somebody else."""
    plugins = config.pluginmanager.list_name_plugin()
    return [
        f"applesilicon: {option.short} belongs to {owner_of(option.short, plugins)}; "
        f"ours is {option.true_name}"
        for option in OPTIONS
        if option.short and option.short in taken
    ]


def owner_of(option: str, plugins: Sequence[tuple[str, Any]]) -> str:
    """Who declares ``option``: the first of ``plugins`` whose pytest_addoption names it."""
    for name, plugin in plugins:
        hook = getattr(plugin, "pytest_addoption", None)
        code = getattr(getattr(hook, "__wrapped__", hook), "__code__", None)
        if code is not None and option in _constants(code):
            file = getattr(plugin, "__file__", None)
            return file if file and Path(file).name == "conftest.py" else name
    return "another plugin"


def _constants(code: Any) -> set[Any]:
    found: set[Any] = set()
    for constant in code.co_consts:
        found |= _constants(constant) if hasattr(constant, "co_consts") else _flat(constant)
    return found


def _flat(constant: Any) -> set[Any]:
    if isinstance(constant, (tuple, frozenset)):
        return {each for item in constant for each in _flat(item)}
    return {constant}
