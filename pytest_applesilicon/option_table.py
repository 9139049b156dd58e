"""Every option, ini key and marker as data.

An option has one true name, ``--applesilicon-<name>``, and one ini key,
``applesilicon_<name>``. The short spelling (``--device``) is a convenience that yields to
anyone else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_applesilicon.dtypes import DTYPES

FRAMEWORKS = ("torch", "tensorflow", "mlx", "jax", "numpy")
ARCHITECTURES = ("any", "native", "arm64", "x86_64")
#: Outcomes of an operator, those that always fail first.
FAIL_ON = ("wrong", "crashed", "hung", "unsupported", "fallback", "not-run", "native")
AUDIT_FINDINGS = ("unsupported", "fallback", "float64", "complex128", "int64", "layout")
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
        "Outcomes of an operator that fail its test: wrong, crashed and hung (always), "
        "unsupported, fallback, not-run, native",
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
        "mps-audit",
        "no",
        "",
        "Record the ATen calls of the tests on the CPU and judge them by the catalog: what would "
        "MPS do with them? (in the ini file: yes or no)",
        short="--mps-audit",
        choices=("yes", "no"),
        flag=True,
    ),
    Option(
        "mps-audit-torch",
        "",
        "VERSION",
        "Torch release to judge the audit for, as 2.6; the default is the installed one",
        short="--mps-audit-torch",
    ),
    Option(
        "mps-audit-fail-on",
        "",
        "FINDING[,FINDING]",
        "Findings of the audit that fail the run: " + ", ".join(AUDIT_FINDINGS),
        short="--mps-audit-fail-on",
    ),
    Option(
        "mps-audit-signatures",
        "",
        "PATH",
        "Write the recorded calls here, for applesilicon replay",
        short="--mps-audit-signatures",
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
    Option(
        "budgets",
        "report",
        "off|report|enforce|strict",
        "What budgets do: nothing, print their verdicts, fail the run where one is exceeded, or "
        "fail it where one is not met",
        short="--budgets",
        choices=("off", "report", "enforce", "strict"),
    ),
    Option(
        "budgets-file",
        "",
        "PATH",
        "The file of budgets; the default is budgets.toml in the root folder, where there is one",
        short="--budgets-file",
    ),
    Option(
        "budgets-baseline",
        "",
        "FOLDER",
        "Folder of the baselines that max_regression is held against, a file for each identity "
        "of a machine",
        short="--budgets-baseline",
    ),
    Option(
        "budgets-accept",
        "",
        "REASON",
        "Move the baseline of this machine to what is measured now, and write the reason and the "
        "date beside it",
        short="--budgets-accept",
    ),
    Option("report", "", "PATH", "Write the JSON report here"),
    Option(
        "report-html",
        "",
        "PATH",
        "Write the report as one HTML page here; needs jinja2",
        short="--report-html",
    ),
)


def named(name: str) -> Option:
    """The option of this name."""
    return next(option for option in OPTIONS if option.name == name)


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
    "budget(max_median_ms=, max_regression=, min_speedup_vs=, min_speedup=, "
    "min_fraction_of_peak=, max_peak_mb=, reference=)": (
        "limits on what this test measures with device_benchmark; see --budgets"
    ),
    "isolated(timeout=)": (
        "run in a child process: a crash, or no end within timeout seconds, ends this test only"
    ),
}


#: The names alone, to find a marker of ours quickly.
MARKER_NAMES = frozenset(marker.partition("(")[0] for marker in MARKERS)


def argument(option: Option) -> dict[str, Any]:
    """How argparse reads an option."""
    taken: dict[str, Any] = {"dest": option.dest, "default": None}
    if option.flag:
        return {**taken, "action": "store_const", "const": "yes"}
    taken["metavar"] = option.metavar
    if option.append:
        return {**taken, "action": "append"}
    return {**taken, "nargs": "?", "const": option.const} if option.const else taken
