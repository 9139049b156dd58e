"""What differs under pytest-xdist.

The controller probes once and hands the result to its workers, so that all of them collect
the same tests. Where only a worker finds out that a probe is needed, the first of them on a
machine probes under a lock and the others read what it found: workers that resolved ``auto``
by themselves could differ, and xdist would abort.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.files import write_whole
from pytest_applesilicon.records import CoreLevel, Health, Host, Sample, Selection, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

_KEY = "applesilicon"

#: In the input of a worker: the name of its place, where each place runs every test.
_PLACE = "applesilicon_place"

#: In the input of a worker that has an interpreter of its own: its ``sys.prefix``.
_PREFIX = "applesilicon_prefix"


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs tests for another one: of xdist, or of ``isolating``."""
    return hasattr(config, "workerinput") or is_child(config)


def is_child(config: pytest.Config) -> bool:
    """Whether this process runs isolated tests for its parent."""
    return hasattr(config, "applesilicon_child")


def is_distributed(config: pytest.Config) -> bool:
    """Whether this process is a controller that hands its tests to workers."""
    return not is_worker(config) and config.getoption("dist", default="no") != "no"


def send(node: Any, selection: Selection) -> None:
    """Hand the controller's selection to a worker with the same interpreter."""
    if getattr(node.gateway.spec, "popen", False) and not getattr(node.gateway.spec, "python", 0):
        node.workerinput[_KEY] = selection_to_json(selection)


def send_place(node: Any, prefix: str | None) -> None:
    """Name the place of a worker, and the ``sys.prefix`` of an interpreter of its own.

    pytest-xdist copies the controller's ``sys.path`` into ``popen`` workers, where another
    interpreter would load the wrong binaries: for such a worker ``popen`` is cleared.
    """
    node.workerinput[_PLACE] = node.gateway.id
    if prefix is not None:
        node.workerinput[_PREFIX] = prefix
        node.gateway.spec.popen = None


def place_of(config: pytest.Config) -> str:
    """The place this worker was given; empty in any other process."""
    return str(getattr(config, "workerinput", {}).get(_PLACE, ""))


def prefix_of(config: pytest.Config) -> str | None:
    """The ``sys.prefix`` this worker should have; ``None`` where it has the controller's."""
    found: str | None = getattr(config, "workerinput", {}).get(_PREFIX)
    return found


@contextmanager
def turn(config: pytest.Config) -> Iterator[None]:
    """Hold the turn of this run on this machine: one worker at a time runs a test."""
    uid = config.workerinput["testrunuid"]  # type: ignore[attr-defined]  # set by xdist
    with _locked(_folder() / f"{uid}.turn"):
        yield


def timed_alone(config: pytest.Config) -> Callable[[], None] | None:
    """Let pytest-benchmark time in a worker that takes turns; returns what undoes it.

    It does not under pytest-xdist, as tests would run at the same time; it asks this variable
    when it is configured.
    """
    if prefix_of(config) is None:
        return None
    name = "PYTEST_XDIST_WORKER"
    value = os.environ.pop(name, None)
    return lambda: os.environ.update({name: value} if value is not None else {})


def shared(config: pytest.Config, make: Callable[[], Selection]) -> Selection:
    """The selection that all processes of this run on this machine share."""
    if not is_worker(config):
        return make()
    given = getattr(config, "workerinput", {})  # set by xdist
    if _KEY in given:
        return selection_from_json(given[_KEY])
    if "testrunuid" not in given:
        return make()
    file = _folder() / f"{given['testrunuid']}{given.get(_PLACE, '')}.json"
    with _locked(file.with_suffix(".lock")):
        if file.exists():
            return selection_from_json(file.read_text(encoding="utf-8"))
        selection = make()
        write_whole(file, selection_to_json(selection))
        return selection


def _folder() -> Path:
    """A folder of this user's own: another user's file must not choose our devices.

    Raises:
        PermissionError: somebody else made a folder of that name, or a link.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"pytest-applesilicon-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
        raise PermissionError(f"{folder}: belongs to another user or is a link; remove it")
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows has no MPS: each worker looks for itself
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def report_back(config: pytest.Config, **facts: str) -> None:
    """Leave facts for the controller, to be read when this worker ends."""
    if hasattr(config, "workerinput") and hasattr(config, "workeroutput"):
        config.workeroutput.setdefault(_KEY, {}).update(facts)


def reported(node: Any) -> dict[str, str]:
    """What a worker that ended left for the controller; empty if it died."""
    return dict(getattr(node, "workeroutput", {}).get(_KEY, {}))


def report_samples(config: pytest.Config, samples: Sequence[Sample]) -> None:
    """Leave what the monitor of this worker saw."""
    taken = [dataclasses.asdict(one) for one in samples]
    report_back(config, samples=json.dumps(taken))


def samples_of(node: Any) -> list[Sample]:
    """What the monitor of a worker that ended saw, with the worker's name."""
    found = json.loads(reported(node).get("samples", "[]"))
    return [Sample(**{**one, "worker": str(node.gateway.id)}) for one in found]


def selection_to_json(selection: Selection) -> str:
    """The selection as it travels between processes."""
    return json.dumps(dataclasses.asdict(selection))


def selection_from_json(text: str) -> Selection:
    """The selection that ``selection_to_json`` wrote."""
    fields = json.loads(text)
    levels = tuple(CoreLevel(**level) for level in fields["host"].pop("core_levels"))
    return Selection(
        Host(**fields["host"], core_levels=levels),
        tuple(
            Target(**{**target, "health": Health(**target["health"])})
            for target in fields["targets"]
        ),
        tuple(fields["notes"]),
    )
