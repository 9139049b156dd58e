"""Which tests run on which device: targets, their ids, and the ids of tests."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon import fallback, frameworks, health, linting, workers
from pytest_applesilicon import host as hosts
from pytest_applesilicon.frameworks import pytorch
from pytest_applesilicon.frameworks.base import DeviceAbsentError
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.options import SETTINGS, Settings
from pytest_applesilicon.records import Health, Host, Selection, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    Probe = Callable[[str, str, Host], Health]

#: ``auto`` takes the first of these whose health is ok.
_BEST_FIRST = ("mps", "cuda", "cpu")

SELECTION = pytest.StashKey[Selection]()


def select(settings: Settings, host: Host, probe: Probe) -> Selection:
    """The targets that the settings ask for, each probed once."""
    names = settings.frameworks or (frameworks.first_installed(),)
    asked = "device" in settings.explicit
    targets: list[Target] = []
    notes: list[str] = []
    for name in names:
        for spec in settings.devices:
            if spec == "auto":
                best, note = _best(name, host, probe)
                targets.append(Target(name, best.device, best, asked=False))
                notes.append(note)
            else:
                targets.append(Target(name, spec, probe(name, spec, host), asked=asked))
    return Selection(host, _each_once(targets), tuple(notes))


def _each_once(targets: list[Target]) -> tuple[Target, ...]:
    """Each target once; asked for if it was named anywhere in the list."""
    found: dict[tuple[str, str], Target] = {}
    for target in targets:
        key = (target.framework, target.device)
        if key not in found or target.asked:
            found[key] = target
    return tuple(found.values())


def _best(name: str, host: Host, probe: Probe) -> tuple[Health, str]:
    """The health of the best device of a framework, and why it is this one."""
    refused: list[str] = []
    found = None
    for spec in _BEST_FIRST:
        found = probe(name, spec, host)
        if found.state == "ok":
            break
        refused.append(f"{spec} {found.phrase}: {found.reason}")
    assert found is not None  # noqa: S101 - _BEST_FIRST is not empty
    because = "; ".join(refused) or "it is the best there is"
    return found, f"auto chose {found.device} for {name} ({because})"


def require(settings: Settings, selection: Selection) -> None:
    """Stop the run where a target cannot be used.

    Raises:
        OptionError: naming the device, the reason, the remedy, and how to skip instead.
    """
    if settings.device_missing == "skip":
        return
    for target in selection.targets:
        if not usable(target.health):
            found = target.health
            raise OptionError(
                f"device {target.device} {found.phrase} for {target.framework}: {found.reason}\n"
                f"  remedy: {found.remedy}\n"
                "  to skip its tests instead: --device-missing=skip"
            )


def usable(found: Health) -> bool:
    """Whether tests run on a device that was asked for by name.

    A device that miscomputes runs them: what it gets wrong is what they are to find.
    """
    return found.state in ("ok", "miscomputes")


def require_architecture(arch: str, host: Host, command: str) -> None:
    """Stop the run where this interpreter has another architecture than asked.

    Args:
        arch: the value of ``--arch``.
        host: this host.
        command: how this interpreter was started, without what chooses its architecture.

    Raises:
        OptionError: with the command that starts the right one.
    """
    # A comma: an interpreter of each, which were asked before (architectures).
    if (
        arch == "any"
        or "," in arch
        or arch == host.interpreter
        or (arch == "native" and not host.translated)
    ):
        return
    wanted = host.machine if arch == "native" else arch
    now = f"this interpreter runs as {host.interpreter}"
    if host.translated:
        now += f", translated by Rosetta on {host.machine}"
    if host.system == "macOS" and host.machine == "arm64":
        remedy = (
            f"arch -{wanted} {command}\n"
            f"  if that says 'Bad CPU type', this Python has no {wanted} code: install one that has"
        )
    else:
        remedy = f"run on a {wanted} machine; this one is {host.machine}"
    raise OptionError(f"--arch={arch}: {now}\n  remedy: {remedy}")


def selection_of(config: pytest.Config) -> Selection:
    """The selection of this run, made on first use.

    Raises:
        OptionError: the fallback that was asked for can no longer be had.
    """
    if SELECTION not in config.stash:
        settings = config.stash[SETTINGS]
        config.stash[SELECTION] = workers.shared(config, lambda: _make(config, settings))
        _require_fallback(settings, config.stash[SELECTION])
        if pytorch.simulating():
            linting.begin(config).accept(pytorch.FALLBACK_VARIABLE)
    return config.stash[SELECTION]


def _make(config: pytest.Config, settings: Settings) -> Selection:
    only_listed = bool(config.getoption("collectonly", default=False))
    return select(settings, hosts.detect(), _not_probed if only_listed else health.probe)


def simulate_early() -> None:
    """Put the simulated device into this process before anything uses torch.

    Where it cannot be had, the probe says so later, with the reason and the remedy.
    """
    if frameworks.is_installed("torch"):
        with contextlib.suppress(DeviceAbsentError):
            pytorch.simulate()


def _not_probed(framework: str, spec: str, host: Host) -> Health:
    """In place of a probe where tests are only listed."""
    simulated = spec == pytorch.SIMULATED
    absent = frameworks.load(framework).absent(spec, host)
    if absent is not None:
        return Health(spec, framework, "absent", *absent, simulated=simulated)
    reason = "not probed: tests are only listed"
    return Health(spec, framework, "ok", reason, simulated=simulated)


def _require_fallback(settings: Settings, selection: Selection) -> None:
    if pytorch.simulating():
        # The simulated device is told, at any time; the variable is for child processes.
        allow = settings.mps_fallback == "allow"
        if fallback.in_force(os.environ) != settings.mps_fallback:
            os.environ[pytorch.FALLBACK_VARIABLE] = "1" if allow else "0"
        pytorch.simulate(allow)
        return
    on_mps = any(target.device == "mps" for target in selection.targets)
    if not on_mps and "mps-fallback" not in settings.explicit:
        return
    fallback.switch(settings.mps_fallback)
    problem = fallback.too_late(settings.mps_fallback)
    if problem:
        raise OptionError(problem)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses our ``device`` once for every target it is written for."""
    selection = selection_of(metafunc.config)
    names = tuple(
        dict.fromkeys(
            name for mark in metafunc.definition.iter_markers("frameworks") for name in mark.args
        )
    )
    targets = selection.for_frameworks(names)
    if targets:
        params = [
            pytest.param(target, id=selection.id_of(target), marks=_marks(target))
            for target in targets
        ]
    else:
        used = ", ".join(dict.fromkeys(target.framework for target in selection.targets))
        reason = f"written for {', '.join(names)}; the framework in use is {used}"
        params = [pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))]
    metafunc.parametrize("applesilicon_device", params, indirect=True, scope="session")


def _marks(target: Target) -> list[pytest.MarkDecorator]:
    found = target.health
    if usable(found):
        return []
    reason = f"{target.device} {found.phrase} for {target.framework}: {found.reason}"
    return [pytest.mark.skip(reason=reason)]


def test_id(nodeid: str, path: Path) -> str:
    """The id of a test, the same however the run was started.

    Bundled tests are ``suites/<path>::<name>``, computed from the package; every other test
    has pytest's node id.
    """
    relative = _in_suites(path)
    if relative is None:
        return nodeid
    name = nodeid.partition("::")[2]
    return f"suites/{relative}::{name}" if name else f"suites/{relative}"


test_id.__test__ = False  # type: ignore[attr-defined]  # its name is the word of the field


@functools.cache
def _in_suites(path: Path) -> str | None:
    """A file below the bundled suites; ``None`` for every other one. Asked for each test."""
    for root in _suite_roots(path.parent):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return None


@functools.cache
def _suite_roots(folder: Path) -> list[Path]:
    """Where the bundled suites may stand: the installed package, or the checkout of ``folder``."""
    roots = [
        parent
        for parent in (folder, *folder.parents)
        if parent.name == "suites" and (parent.parent / "pytest_applesilicon").is_dir()
    ]
    spec = importlib.util.find_spec("pytest_applesilicon.suites")
    if spec is not None and spec.submodule_search_locations:
        roots += [Path(folder) for folder in spec.submodule_search_locations]
    return roots
