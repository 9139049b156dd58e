"""The frozen ``Settings`` of a run, made from its options and ini keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import option_table
from pytest_applesilicon.dtypes import DTYPES
from pytest_applesilicon.option_table import (
    AUDIT_FINDINGS,
    FAIL_ON,
    FRAMEWORKS,
    OPTIONS,
    Option,
    argument,
)
from pytest_applesilicon.option_values import (
    pairs_text,
    parse_devices,
    parse_expression,
    parse_faults,
    parse_limit,
    parse_monitor,
    parse_names,
    parse_path,
    parse_pythons,
    parse_reason,
    parse_repeats,
    parse_samples,
    parse_seconds,
    parse_seed,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.simulate.faults import Fault


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
    report_html: Path | None
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
    budgets: str
    budgets_file: Path | None
    budgets_baseline: Path | None
    budgets_accept: str | None
    """Why the baseline is moved; ``None`` where it is not."""
    regression_size: str
    regression_limit: int
    """Stands for 2**32 elements."""
    audit: bool
    audit_torch: str
    """A release of the catalog; empty for the installed one."""
    audit_fail_on: tuple[str, ...]
    audit_signatures: Path | None
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
            "arch-python": pairs_text(self.arch_python) or "found",
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
            "mps-audit": "yes" if self.audit else "no",
            "mps-audit-torch": self.audit_torch or "installed",
            "mps-audit-fail-on": ",".join(self.audit_fail_on) or "none",
            "mps-audit-signatures": (
                self.audit_signatures.name if self.audit_signatures else "none"
            ),
            "isolate": self.isolate,
            "isolate-timeout": f"{self.isolate_timeout_s:g}",
            "known-failures": self.known_failures.name if self.known_failures else "none",
            "known-failures-record": "yes" if self.known_failures_record else "no",
            "strict-known-failures": "yes" if self.strict_known_failures else "no",
            "repeat-failed": str(self.repeat_failed),
            "budgets": self.budgets,
            "budgets-file": self.budgets_file.name if self.budgets_file else "found",
            "budgets-baseline": self.budgets_baseline.name if self.budgets_baseline else "none",
            "budgets-accept": self.budgets_accept or "no",
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
            raise refused(origins[option.name], values[option.name], option.choices)
    mnist, report, report_html, known, budgets_file, budgets_baseline, calls = (
        parse_path(values[name], origins[name], folder)
        for name in (
            "mnist",
            "report",
            "report-html",
            "known-failures",
            "budgets-file",
            "budgets-baseline",
            "mps-audit-signatures",
        )
    )
    findings = parse_names(
        values["mps-audit-fail-on"], origins["mps-audit-fail-on"], AUDIT_FINDINGS
    )
    release = values["mps-audit-torch"]
    return Settings(
        devices=parse_devices(values["device"], origins["device"]),
        arch=values["arch"],
        frameworks=parse_names(values["framework"], origins["framework"], FRAMEWORKS),
        device_missing=values["device-missing"],
        mps_fallback=values["mps-fallback"],
        size=values["size"],
        seed=parse_seed(values["seed"], origins["seed"]),
        mnist=str(mnist) if mnist else None,
        report=report,
        report_html=report_html,
        ops=parse_expression(values["ops"], origins["ops"]),
        dtypes=parse_names(values["dtypes"], origins["dtypes"], DTYPES) or DTYPES,
        samples=parse_samples(values["samples"], origins["samples"], values["size"]),
        monitor_s=parse_monitor(values["monitor"], origins["monitor"]),
        arch_python=parse_pythons(values["arch-python"], origins["arch-python"]),
        faults=parse_faults(values, origins["faults"], folder),
        fail_on=("wrong", *parse_names(values["fail-on"], origins["fail-on"], FAIL_ON)),
        regression_size=values["regression-size"],
        regression_limit=parse_limit(values["regression-limit"], origins["regression-limit"]),
        isolate=values["isolate"],
        known_failures=known,
        known_failures_record=values["known-failures-record"] == "yes",
        strict_known_failures=values["strict-known-failures"] == "yes",
        repeat_failed=parse_repeats(values["repeat-failed"], origins["repeat-failed"]),
        budgets=values["budgets"],
        budgets_file=budgets_file,
        budgets_baseline=budgets_baseline,
        budgets_accept=parse_reason(values, origins, explicit),
        isolate_timeout_s=parse_seconds(values["isolate-timeout"], origins["isolate-timeout"]),
        # What an audit is told to do, it is asked for.
        audit=values["mps-audit"] == "yes" or bool(findings or release or calls),
        audit_torch=release,
        audit_fail_on=findings,
        audit_signatures=calls,
        explicit=explicit,
    )


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
        group.addoption(option.true_name, help=option.help + also, **argument(option))
        parser.addini(option.dest, option.help, default="")


def early_fallback(config: pytest.Config, args: Sequence[str]) -> str | None:
    """What ``--mps-fallback`` will be, before the short spellings are declared.

    conftest.py files are about to be loaded, and one that imports torch fixes torch's
    fallback for good. ``None`` where nothing is asked of this plugin.
    """
    names = {name for option in OPTIONS for name in (option.true_name, option.short)}
    asked = any(arg.partition("=")[0] in names for arg in args)
    if not asked and not any(config.getini(option.dest) for option in OPTIONS):
        return None
    option = option_table.named("mps-fallback")
    value = _last_given(option, args)
    if value is None:
        value = config.getini(option.dest) or option.default
    return value if value in option.choices else None


def early_simulation(config: pytest.Config, args: Sequence[str]) -> bool:
    """Whether ``--device`` will name the simulated device, before conftest.py files are loaded.

    It must be put into torch before the first backward pass of the process. In a worker of
    pytest-xdist the option comes from the controller, not from ``args``.
    """
    option = option_table.named("device")
    value = _last_given(option, args)
    if value is None:
        value = getattr(config.option, option.dest, None) or config.getini(option.dest)
    return "mps-sim" in [spec.strip() for spec in str(value or "").split(",")]


def early_audit(config: pytest.Config, args: Sequence[str]) -> bool:
    """Whether the ATen calls will be recorded, before conftest.py files are loaded.

    Every option of the audit asks for one.
    """
    return any(
        _last_given(option, args)
        or getattr(config.option, option.dest, None)
        or config.getini(option.dest) not in ("", "no")
        for option in OPTIONS
        if option.name.startswith("mps-audit")
    )


def _last_given(option: Option, args: Sequence[str]) -> str | None:
    """The value of an option as it stands last on the command line; of a flag, ``yes``."""
    value = None
    for arg, following in zip(args, [*args, ""][1:], strict=True):
        name, equals, given = arg.partition("=")
        if name in (option.true_name, option.short):
            value = "yes" if option.flag else given if equals else following
    return value
