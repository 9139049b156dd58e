"""Every test of the suites passes on the CPU, and fails on a machine or device that is wrong."""

from __future__ import annotations

import importlib.util
import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import faults_benchmarks
import faults_frameworks
import faults_random
import faulty_runs
import pytest
from faults import FAULTS, Fault
from faults_agreement import FEW_MODULES, FEW_OPTIMIZERS, FEW_PAIRS, FEW_SCALARS
from faults_simulated import FAULT_OF

from pytest_applesilicon.fallback import FALLBACK_VARIABLE
from pytest_applesilicon.reports import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_applesilicon.records import Record

pytest.importorskip("torch")

#: What runs without a fault: what runs with one, and no more of what takes seconds.
SOUND_FILES = tuple(dict.fromkeys(file for fault in FAULTS for file in fault.files))
SOUND_ONLY = (
    "not cpu-1024 and not (cnn and (test_learning or test_saving))"
    f" and not (test_mixed_dtypes and not ({FEW_PAIRS}) and not ({FEW_SCALARS}))"
    f" and not (test_modules and not ({FEW_MODULES}))"
    f" and not (test_optimizers and not ({FEW_OPTIMIZERS}))"
    f" and {faults_benchmarks.SLOW}"
)
SOUND_OPTIONS = tuple(dict.fromkeys(option for fault in FAULTS for option in fault.options))

#: The ends of the reasons to skip a test on the CPU at quick size.
SKIPPED_ON_THE_CPU = (
    "the device of this test is cpu",
    "is run with --size=full",
    "float16 on the CPU is timed up to 512",
    "it computes the same in training",
    "the allocator of cpu keeps no memory",
    "torch limits no memory on cpu",
    # A framework that is not installed: its import is not timed.
    "mlx is not installed",
    "jax is not installed",
    "tensorflow is not installed",
    # A check of the doctor that needs a Mac, or a package that is not installed.
    ": not looked at",
)

#: Tests that run on MPS alone, which are called here with fixtures of our own.
#: And Keras on two devices, in test_frameworks_fail_on_faults.
DIRECTLY_TESTED = {
    "environment/test_framework.py::test_fallback_is_as_asked",
    "benchmarks/test_device_memory.py::test_empty_cache",
    "benchmarks/test_device_memory.py::test_memory_limit",
    "training/test_keras_steps.py::test_steps_agree_with_the_cpu",
    # Core ML predicts on macOS only: nothing here can show that it notices a fault.
    "around/test_around_torch.py::test_core_ml_predicts_what_torch_does",
}

#: Seconds; the run without a fault takes a minute on two idle cores.
TIME_LIMIT_S = 300


def suites_folder() -> Path:
    """Where the suites stand: in the checkout, or in the package that is installed."""
    spec = importlib.util.find_spec("pytest_applesilicon.suites")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


class Suites:
    """Runs the suites in another process, which imports torch once."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._process: multiprocessing.process.BaseProcess | None = None

    def run(
        self, files: tuple[str, ...], *args: str, cwd: Path, fault: str = ""
    ) -> tuple[int, str]:
        """The exit status and the output of a run, under a fault if one is named."""
        if self._process is None:
            self._start()
        paths = [str(suites_folder() / file) for file in files]
        options = ["-p", "faulty_plugin", "-p", "no:cacheprovider", "--framework=torch"]
        self._pipe.send((fault, cwd, [*options, f"--device={self._device}", *args, *paths]))
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


def test_models_of_the_benchmarks_pass_and_none_is_skipped(suites, tmp_path):
    found = suites.records(faults_benchmarks.MODELS, "", (), cwd=tmp_path)

    others = {test: record for test, record in found.items() if record.outcome != "passed"}
    assert not others
    assert len(found) == 13


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_suites_fail_on(fault: Fault, suites, sound, tmp_path):
    found = suites.records(fault.files, fault.only, fault.options, cwd=tmp_path, fault=fault.name)

    expected = {
        test: ("failed",)
        if test.startswith(tuple(fault.fails))
        else fault.others or (sound[test].outcome,)
        for test in found
    }
    wrong = {test: one for test, one in found.items() if one.outcome not in expected[test]}
    assert not wrong, fault.what
    for start, says in fault.fails.items():
        reasons = [record.reason for test, record in found.items() if test.startswith(start)]
        assert reasons, f"no test that starts with {start} ran"
        assert all(says in reason for reason in reasons), reasons


def test_every_test_of_the_suites_has_a_fault(suites, tmp_path):
    status, output = suites.run((".",), "--collect-only", "-q", cwd=tmp_path)

    lines = [line for line in output.splitlines() if "::" in line]
    functions = {line.partition("[")[0].partition("suites/")[2] for line in lines}
    every = (*FAULTS, *faults_random.FAULTS, *faults_frameworks.FAULTS)
    faulted = {start.partition("[")[0] for fault in every for start in fault.fails}
    # Faults of the simulated device: test_regressions_fail_on_faults and
    # test_agreement_fails_on_simulated_faults.
    faulted.add("regressions/test_regressions.py::test_regression")
    faulted |= {f"agreement/{test}" for test in FAULT_OF}
    assert status == 0, output
    assert functions - faulted - DIRECTLY_TESTED == set()
    assert faulted | DIRECTLY_TESTED <= functions


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
