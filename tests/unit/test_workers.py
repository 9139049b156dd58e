"""All processes of a run share one selection: sent by the controller, or made once."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import types
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import workers
from pytest_applesilicon.records import CoreLevel, Health, Host, Selection, Target

if TYPE_CHECKING:
    from pathlib import Path

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fcntl")

HOST = Host(
    "macOS",
    os_version="14.5",
    core_levels=(CoreLevel("Performance", 4), CoreLevel("Efficiency", 4)),
    memory_bytes=16 * 2**30,
    virtual=True,
)


def _selection(device: str = "mps", host: Host = HOST) -> Selection:
    health = Health(device, "torch", "unusable", "\u00e9\nhung", "restart", simulated=True)
    return Selection(host, (Target("torch", device, health, asked=True),), ("a note",))


def _worker(**given: str) -> Any:
    return types.SimpleNamespace(workerinput={"testrunuid": "abc", **given}, workeroutput={})


class _Make:
    """Makes a selection and counts how often it is asked to."""

    def __init__(self, device: str) -> None:
        self.device, self.calls = device, 0

    def __call__(self) -> Selection:
        self.calls += 1
        return _selection(self.device)


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "selection",
    [
        pytest.param(_selection(), id="all fields"),
        pytest.param(Selection(Host("Linux"), ()), id="few fields"),
        pytest.param(
            dataclasses.replace(
                _selection(), targets=_selection("mps").targets + _selection("cpu").targets
            ),
            id="two targets",
        ),
    ],
)
def test_a_selection_comes_back_from_json_as_it_went(selection: Selection):
    text = workers.selection_to_json(selection)
    assert workers.selection_from_json(text) == selection


@pytest.mark.parametrize(
    ("config", "worker", "distributed"),
    [
        pytest.param(
            types.SimpleNamespace(getoption=lambda n, default: "no"), False, False, id="alone"
        ),
        pytest.param(
            types.SimpleNamespace(getoption=lambda n, default: default),
            False,
            False,
            id="without xdist",
        ),
        pytest.param(
            types.SimpleNamespace(getoption=lambda n, default: "load"), False, True, id="controller"
        ),
        pytest.param(
            types.SimpleNamespace(workerinput={}, getoption=lambda n, default: "load"),
            True,
            False,
            id="worker",
        ),
    ],
)
def test_a_process_knows_its_part(config: Any, worker: bool, distributed: bool):
    assert workers.is_worker(config) is worker
    assert workers.is_distributed(config) is distributed


def test_outside_of_xdist_the_selection_is_made_and_nothing_written(temporary_folder: Path):
    make = _Make("cpu")
    assert workers.shared(types.SimpleNamespace(), make) == _selection("cpu")
    assert make.calls == 1
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize(("popen", "sent"), [(True, True), (False, False)])
def test_what_the_controller_sends_wins_on_its_own_machine(popen: bool, sent: bool):
    spec = types.SimpleNamespace(popen=popen)
    config = _worker()
    node = types.SimpleNamespace(
        gateway=types.SimpleNamespace(spec=spec), workerinput=config.workerinput
    )
    workers.send(node, _selection("cpu"))
    make = _Make("mps")
    assert workers.shared(config, make) == _selection("cpu" if sent else "mps")
    assert make.calls == (0 if sent else 1)


def test_what_the_controller_sends_wins_over_what_a_worker_found():
    assert workers.shared(_worker(), _Make("mps")) == _selection("mps")
    given = workers.selection_to_json(_selection("cpu"))
    config = _worker(**{workers._KEY: given})
    assert workers.shared(config, _Make("mps")) == _selection("cpu")


@needs_locks
def test_the_first_worker_makes_and_the_others_read():
    first, second = _Make("mps"), _Make("cpu")
    assert workers.shared(_worker(), first) == _selection("mps")
    assert workers.shared(_worker(), second) == _selection("mps")
    assert (first.calls, second.calls) == (1, 0)


def test_another_run_makes_its_own():
    workers.shared(_worker(), _Make("mps"))
    assert workers.shared(_worker(testrunuid="other"), _Make("cpu")) == _selection("cpu")


@needs_locks
def test_a_worker_that_fails_leaves_the_work_to_the_next():
    def fail() -> Selection:
        raise KeyError("no device")

    with pytest.raises(KeyError, match="no device"):
        workers.shared(_worker(), fail)
    assert workers.shared(_worker(), _Make("cpu")) == _selection("cpu")


MAKE_SLOWLY = """
import pathlib, sys, tempfile, time, types
from pytest_applesilicon import workers
from pytest_applesilicon.records import Host, Selection

tempfile.tempdir, me = sys.argv[1:]

def make():
    (pathlib.Path(tempfile.tempdir) / f"made-by-{me}").touch()
    time.sleep(0.5)
    return Selection(Host(me), ())

config = types.SimpleNamespace(workerinput={"testrunuid": "abc"})
print(workers.shared(config, make).host.system)
"""


@needs_locks
def test_processes_that_start_together_share_what_one_of_them_made(temporary_folder: Path):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE_SLOWLY, str(temporary_folder), name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b", "c")
    ]
    printed = [process.communicate(timeout=60)[0].strip() for process in running]
    made = [path.name for path in temporary_folder.glob("made-by-*")]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(made) == 1
    assert printed == [made[0].removeprefix("made-by-")] * 3


@needs_locks
def test_the_folder_is_readable_to_nobody_else():
    assert workers._folder().stat().st_mode & 0o077 == 0


@needs_locks
def test_a_folder_that_belongs_to_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    make = _Make("mps")
    with pytest.raises(OSError, match="pytest-applesilicon-12345678: belongs to another user"):
        workers.shared(_worker(), make)
    assert make.calls == 0


@needs_locks
def test_a_link_in_place_of_the_folder_is_refused(temporary_folder: Path):
    (temporary_folder / "elsewhere").mkdir()
    folder = temporary_folder / f"pytest-applesilicon-{os.getuid()}"
    folder.symlink_to("elsewhere")
    with pytest.raises(OSError, match="belongs to another user or is a link"):
        workers.shared(_worker(), _Make("mps"))


def test_a_worker_reports_facts_back_to_the_controller():
    config = _worker()
    workers.report_back(config, state="ok")
    workers.report_back(config, reason="works")
    node = types.SimpleNamespace(workeroutput=config.workeroutput)
    assert workers.reported(node) == {"state": "ok", "reason": "works"}


@pytest.mark.parametrize("node", [types.SimpleNamespace(), types.SimpleNamespace(workeroutput={})])
def test_a_worker_that_died_reported_nothing(node: Any):
    assert workers.reported(node) == {}


def test_a_process_that_is_no_worker_has_nobody_to_report_to():
    config = types.SimpleNamespace(workeroutput={})
    workers.report_back(config, state="ok")
    assert config.workeroutput == {}
