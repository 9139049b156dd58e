"""Every test of the suites passes on the CPU, and fails on a machine or device that is wrong."""

from __future__ import annotations

import importlib.util
import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import faulty_runs
import pytest
from faults import FAULTS, Fault

from pytest_applesilicon.fallback import FALLBACK_VARIABLE
from pytest_applesilicon.reports import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_applesilicon.records import Record

pytest.importorskip("torch")

#: What runs without a fault: what runs with one, and no more of what takes seconds.
SOUND_FILES = tuple(dict.fromkeys(file for fault in FAULTS for file in fault.files))
SOUND_ONLY = "not cpu-1024 and not (cnn and (test_learning or test_saving))"
SOUND_OPTIONS = tuple(dict.fromkeys(option for fault in FAULTS for option in fault.options))

#: The ends of the reasons to skip a test on the CPU at quick size.
SKIPPED_ON_THE_CPU = (
    "the device of this test is cpu",
    "is run with --size=full",
    "float16 on the CPU is timed up to 512",
)

#: Tests that run on MPS alone, which are called here with fixtures of our own.
DIRECTLY_TESTED = {"environment/test_framework.py::test_fallback_is_as_asked"}

#: Tests that no fault fails yet, and why. A fault for one of them takes it off this list.
_NO_FAULT = "no fault reaches the inputs of suites/agreement yet"
_SIMULATED = "benchmarks/faults.py fails it with faults of the simulated device"
NOT_YET = {
    "agreement/test_edge_values.py::test_edge_values": _NO_FAULT,
    "agreement/test_layouts.py::test_layout": _NO_FAULT,
    "agreement/test_mixed_dtypes.py::test_mixed_dtypes": _NO_FAULT,
    "agreement/test_mixed_dtypes.py::test_scalar": _NO_FAULT,
    "agreement/test_modules.py::test_module": _NO_FAULT,
    "agreement/test_optimizers.py::test_trajectory": _NO_FAULT,
    "agreement/test_repeated.py::test_repeated": _NO_FAULT,
    "agreement/test_partial_writes.py::test_accumulate_into_a_row": _SIMULATED,
    "agreement/test_partial_writes.py::test_draw_in_place": _SIMULATED,
    "agreement/test_partial_writes.py::test_in_place": _SIMULATED,
    "agreement/test_partial_writes.py::test_product_into_out": _SIMULATED,
    "agreement/test_recurrent.py::test_dropout_draws_anew_and_stays_finite": _SIMULATED,
    "agreement/test_recurrent.py::test_lstm": _SIMULATED,
    "agreement/test_transfers.py::test_copy_between_views_with_gaps": _SIMULATED,
    "agreement/test_transfers.py::test_copy_to_a_narrower_dtype_leaves_the_source": _SIMULATED,
    "agreement/test_transfers.py::test_copy_into_rows_of_the_host": _SIMULATED,
    "agreement/test_transfers.py::test_copy_of_a_transposed_host_tensor": _SIMULATED,
    "agreement/test_transfers.py::test_assignment_of_an_element_of_the_host": _SIMULATED,
    "agreement/test_transfers.py::test_copies_that_do_not_block": _SIMULATED,
    "agreement/test_transfers.py::test_assignments_in_sequence": _SIMULATED,
    "agreement/test_transfers.py::test_comparison_of_elements": _SIMULATED,
    "agreement/test_traps.py::test_trap": _SIMULATED,
    "agreement/test_traps.py::test_streams_of_random_numbers": _SIMULATED,
    "agreement/test_traps.py::test_impossible_and_certain_draws": _SIMULATED,
    "agreement/test_traps.py::test_refused": _SIMULATED,
}

#: Seconds; the longest run takes twenty on two busy cores.
TIME_LIMIT_S = 120


def suites_folder() -> Path:
    """Where the suites stand: in the checkout, or in the package that is installed."""
    spec = importlib.util.find_spec("pytest_applesilicon.suites")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


class Suites:
    """Runs the suites in another process, which imports torch once."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None

    def run(
        self, files: tuple[str, ...], *args: str, cwd: Path, fault: str = ""
    ) -> tuple[int, str]:
        """The exit status and the output of a run, under a fault if one is named."""
        if self._process is None:
            self._start()
        paths = [str(suites_folder() / file) for file in files]
        options = ["-p", "faulty_plugin", "-p", "no:cacheprovider", "--framework=torch"]
        self._pipe.send((fault, cwd, [*options, "--device=cpu", *args, *paths]))
        try:
            assert self._pipe.poll(TIME_LIMIT_S), f"no answer in {TIME_LIMIT_S} s"
            return self._pipe.recv()
        except (AssertionError, EOFError):
            self.stop()
            raise

    def records(
        self,
        files: tuple[str, ...],
        only: str,
        options: tuple[str, ...],
        *,
        cwd: Path,
        fault: str = "",
    ) -> dict[str, Record]:
        """What became of each test, by its id without ``suites/``."""
        args = [f"--applesilicon-report={cwd / 'report.json'}", *(["-k", only] if only else [])]
        args += options
        status, output = self.run(files, *args, cwd=cwd, fault=fault)
        assert status in (0, 1), output
        report = document.read(cwd / "report.json")
        return {record.test_id.removeprefix("suites/"): record for record in report.records}

    def stop(self) -> None:
        """End the process; the next run starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=faulty_runs.serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


@pytest.fixture(scope="session")
def suites() -> Iterator[Suites]:
    started = Suites()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def sound(suites: Suites, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """What becomes of the tests without a fault."""
    return suites.records(
        SOUND_FILES, SOUND_ONLY, SOUND_OPTIONS, cwd=tmp_path_factory.mktemp("sound")
    )


def test_suites_pass_without_faults(sound):
    others = {test: record for test, record in sound.items() if record.outcome != "passed"}

    unexpected = {
        test: record
        for test, record in others.items()
        if record.outcome != "skipped" or not record.reason.endswith(SKIPPED_ON_THE_CPU)
    }
    assert not unexpected


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_suites_fail_on(fault: Fault, suites, sound, tmp_path):
    found = suites.records(fault.files, fault.only, fault.options, cwd=tmp_path, fault=fault.name)

    expected = {
        test: "failed" if test.startswith(tuple(fault.fails)) else sound[test].outcome
        for test in found
    }
    assert {test: record.outcome for test, record in found.items()} == expected, fault.what
    for start, says in fault.fails.items():
        reasons = [record.reason for test, record in found.items() if test.startswith(start)]
        assert reasons, f"no test that starts with {start} ran"
        assert all(says in reason for reason in reasons), reasons


def test_every_test_of_the_suites_has_a_fault(suites, tmp_path):
    status, output = suites.run((".",), "--collect-only", "-q", cwd=tmp_path)

    lines = [line for line in output.splitlines() if "::" in line]
    functions = {line.partition("[")[0].partition("suites/")[2] for line in lines}
    faulted = {start.partition("[")[0] for fault in FAULTS for start in fault.fails}
    assert status == 0, output
    assert functions - faulted - DIRECTLY_TESTED == set(NOT_YET)
    assert faulted | DIRECTLY_TESTED <= functions
    assert not faulted & set(NOT_YET)


@pytest.mark.parametrize(("variable", "asked"), [("1", "error"), ("0", "allow")])
def test_fallback_other_than_asked_is_noticed(variable, asked, monkeypatch):
    from pytest_applesilicon.suites.environment import test_framework

    asking = SimpleNamespace(settings=SimpleNamespace(mps_fallback=asked))
    monkeypatch.setenv(FALLBACK_VARIABLE, variable)

    with pytest.raises(AssertionError):
        test_framework.test_fallback_is_as_asked(asking, "mps")


@pytest.mark.parametrize(("variable", "asked"), [("0", "error"), ("1", "allow")])
def test_fallback_as_asked_is_accepted(variable, asked, monkeypatch):
    from pytest_applesilicon.suites.environment import test_framework

    asking = SimpleNamespace(settings=SimpleNamespace(mps_fallback=asked))
    monkeypatch.setenv(FALLBACK_VARIABLE, variable)

    test_framework.test_fallback_is_as_asked(asking, "mps")
