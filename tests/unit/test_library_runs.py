"""What is read from the test suites of libraries, and how their failures are classified."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

RECORDED = Path(__file__).with_name("recorded_libraries") / "failures.json"


@pytest.mark.parametrize(
    "recorded", json.loads(RECORDED.read_text(encoding="utf-8")), ids=lambda one: one["test"]
)
def test_a_recorded_failure_has_its_class(program, recorded):
    found, what = program("library_failures").classify(recorded, {})

    assert (found and found.name, what) == (recorded["class"], recorded["what"])


def test_every_class_has_a_recorded_failure_and_a_reason(program):
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    classes = program("library_failures").CLASSES

    assert {one.name for one in classes} == {one["class"] for one in recorded} - {None}
    assert len({one.name for one in classes}) == len(classes)
    assert all(one.because and one.on_a_mac in ("yes", "no", "unknown") for one in classes)


def test_an_operator_that_torch_has_is_a_gap_of_the_simulation(program):
    failures = program("library_failures")
    text = "The operator 'aten::relu' is not currently implemented for the MPS device"
    failure = {"text": text, "frames": []}

    found, what = failures.classify(failure, {"MPS": {"relu"}, "SparseMPS": set()})
    assert (found, found.on_a_mac, what) == (failures.GAP, "no", "aten::relu")
    found, _ = failures.classify(failure, {"MPS": set(), "SparseMPS": {"relu"}})
    assert (found.name, found.on_a_mac) == ("operator missing", "yes")


FLOAT64 = {"text": "TypeError: Cannot convert a MPS Tensor to float64 dtype", "frames": []}
STRANGE = {"text": "ValueError: never\nseen", "frames": []}


def test_failures_are_counted_by_class_and_none_is_hidden(program):
    suite = program("libraries").Suite
    tests = ["f::a", "f::b", "f::c", "f::d", "f::died", "g::lost", "h::not_run"]
    cpu = suite(8, {**dict.fromkeys(tests, "passed"), "f::bad": "failed"}, {"f::bad": [STRANGE]})
    strict = suite(
        8,
        {
            **dict.fromkeys(("f::b", "f::c", "f::d", "f::bad"), "failed"),
            "f::a": "passed",
            "f::died": "died",
        },
        {"f::b": [FLOAT64, STRANGE], "f::c": [FLOAT64], "f::d": [STRANGE], "f::bad": [STRANGE]},
        uncollected={"g": [FLOAT64]},
    )

    found = program("library_report").summary("x", "1", "why", {"cpu": cpu, "strict": strict}, {})

    runs = found["runs"]
    assert (runs["cpu"]["passed"], runs["strict"]["passed"]) == (7, 1)
    assert (runs["strict"]["died"], runs["strict"]["not_run"]) == (1, 2)
    assert runs["strict"]["passed_of_cpu"] == 1
    (only,) = runs["strict"]["classes"]
    assert (only["class"], only["tests"], only["on_a_mac"]) == ("float64 refused", 3, "yes")
    assert runs["strict"]["unclassified"] == [
        {"test": "f::d", "text": "ValueError: never seen"},
        {"test": "f::died", "text": "died"},
        {"test": "h::not_run", "text": "not run"},
    ]


SUITE = """
import logging, os, time, unittest
import pytest

def test_passes(): pass
def test_fails():
    try:
        raise KeyError("first")
    except KeyError:
        raise ValueError("second")
def test_logs():
    try:
        raise RuntimeError("hidden")
    except RuntimeError:
        logging.exception("caught")
    assert False
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_xfails(): assert False
class TestParts(unittest.TestCase):
    def test_parts(self):
        with self.subTest("one"): self.assertEqual(1, 2)
def test_dies(): os._exit(3)
def test_after(): pass
"""


def run_suite(program, tmp_path, text, limit=60.0):
    libraries = program("libraries")
    place = tmp_path / "mine-1" / "tests"
    place.mkdir(parents=True, exist_ok=True)
    (place / "test_it.py").write_text(text, encoding="utf-8")
    given = argparse.Namespace(sources=tmp_path, limit=limit, only="", fresh=False)
    library = libraries.Library("mine", "1", "", ("tests",))
    return libraries.run(library, "cpu", given, tmp_path)


def test_a_run_goes_on_behind_a_test_that_dies(program, tmp_path):
    found = run_suite(program, tmp_path, SUITE)

    outcomes = {name.rpartition("::")[2]: outcome for name, outcome in found.outcomes.items()}
    assert outcomes == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_logs": "failed",
        "test_skipped": "skipped",
        "test_xfails": "xfailed",
        "test_parts": "failed",
        "test_dies": "died",
        "test_after": "passed",
    }
    assert (found.collected, found.ended, found.on_device) == (8, "", 0)
    texts = {name.rpartition("::")[2]: one[0]["text"] for name, one in found.failures.items()}
    assert texts["test_fails"] == "ValueError: second\ncaused by: KeyError: 'first'"
    assert texts["test_logs"].endswith("caused by: RuntimeError: hidden")
    (frames,) = [one[0]["frames"] for name, one in found.failures.items() if "test_fails" in name]
    assert frames[-1].endswith('raise ValueError("second")')


def test_a_run_that_takes_too_long_names_the_test_it_was_in(program, tmp_path):
    text = "import time\ndef test_quick(): pass\ndef test_slow(): time.sleep(60)\n"

    found = run_suite(program, tmp_path, text, limit=8.0)

    assert "the limit of 8 s is over, in tests/test_it.py::test_slow" in found.ended
    assert found.outcomes["tests/test_it.py::test_quick"] == "passed"


def test_events_of_a_stopped_benchmark_are_taken_up(program, tmp_path):
    libraries = program("libraries")
    events = tmp_path / "mine-cpu.jsonl"
    ended = {"ended": "a", "outcome": "passed", "failures": [], "operators": 2}
    lines = [{"collected": 3}, {"begun": "a"}, ended, {"begun": "b"}]
    half = '{"ended": "b", "outc'
    events.write_text("".join(json.dumps(one) + "\n" for one in lines) + half, encoding="utf-8")

    assert libraries.read(events).outcomes == {"a": "passed", "b": "died"}
    libraries.forget_unended(events)

    found = libraries.read(events)
    assert (found.outcomes, found.on_device) == ({"a": "passed"}, 1)


def test_sources_that_are_not_there_are_named_with_the_commands_that_bring_them(
    program, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["libraries.py", "entmax", "--sources", str(tmp_path)])

    with pytest.raises(SystemExit) as stopped:
        program("libraries").main()

    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert "entmax-1.0: no unpacked source archive of entmax 1.0" in told
    assert "pip download --no-deps --no-build-isolation --no-binary=entmax entmax==1.0" in told


def test_a_library_that_is_not_known_is_an_error(program, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["libraries.py", "numba", "--sources", str(tmp_path)])

    with pytest.raises(SystemExit):
        program("libraries").main()

    assert "NAME numba: not one of linear_operator, entmax, gpytorch" in capsys.readouterr().err
