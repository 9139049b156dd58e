"""What a terminal shows fits its width, and shows what was used and no more."""

from __future__ import annotations

import pytest

from pytest_applesilicon.records import (
    RAN,
    SIMULATED_NOTICE,
    Health,
    Host,
    Measurement,
    Record,
    Report,
    RunFacts,
    Target,
)
from pytest_applesilicon.reports import columns, terminal

OUTCOMES = ("passed", "failed", "error", "crashed", "hung", "xfailed", "xpassed", "skipped")


def _target(
    device: str = "mps",
    framework: str = "torch",
    *,
    simulated: bool = False,
    asked: bool = True,
    **found: str,
) -> Target:
    fields = {"state": "ok", "reason": "allocates, computes and synchronises", **found}
    health = Health(device, framework, simulated=simulated, **fields)  # type: ignore[arg-type]
    return Target(framework, device, health, asked=asked)


def _facts(*targets: Target, notes: tuple[str, ...] = (), **settings: str) -> RunFacts:
    settings = settings or {"device": "mps", "seed": "0"}
    versions = {"torch": "2.13.0"}
    return RunFacts("0.1.0", "2026", Host("macOS"), targets, settings, versions, notes)


def _record(
    outcome: str = "passed",
    device: str | None = "mps",
    framework: str | None = "torch",
    **measured: float,
) -> Record:
    figures = tuple(Measurement(name, value, "%") for name, value in measured.items())
    return Record(  # type: ignore[arg-type]
        "t.py::test", "t.py::test", outcome, framework, device, measurements=figures
    )


def _summary(*records: Record, width: int = 80, simulated: bool = False) -> list[str]:
    return terminal.summary(Report(_facts(_target(simulated=simulated)), records), width)


# The header


def test_the_header_shows_settings_host_devices_and_notes():
    facts = _facts(_target(), _target("cpu", "numpy"), notes=("mnist: the shipped subset",))
    assert terminal.header(facts, "Apple M2, macOS 14.5", 200) == [
        "applesilicon 0.1.0: device mps; seed 0",
        "host: Apple M2, macOS 14.5",
        "device: mps, torch 2.13.0: ok, allocates, computes and synchronises",
        "device: cpu, numpy: ok, allocates, computes and synchronises",
        "mnist: the shipped subset",
    ]


def test_a_device_that_is_not_ok_shows_its_remedy():
    target = _target(state="absent", reason="no Metal device", remedy="use a Mac")
    assert terminal.header(_facts(target), "a host", 200)[2] == (
        "device: mps, torch 2.13.0: absent, no Metal device (remedy: use a Mac)"
    )


@pytest.mark.parametrize(("simulated", "shown"), [(True, True), (False, False)])
def test_a_simulated_run_says_so_in_the_header(simulated: bool, shown: bool):
    lines = terminal.header(_facts(_target(), _target(simulated=simulated)), "a host", 200)
    assert (SIMULATED_NOTICE in lines) is shown


LONG_PATH = "/private/var/folders/" + "/".join(["a-long-name"] * 12) + "/mnist.npz"
LONG_TEXT = "the operator is wrong by 3.8 and " * 10


@pytest.mark.parametrize("width", [80, 60, 120])
@pytest.mark.parametrize(
    ("facts", "host_line"),
    [
        pytest.param(_facts(_target(reason=LONG_TEXT, remedy=LONG_TEXT)), "h", id="reason"),
        pytest.param(_facts(_target(reason="a\nb\tc " * 30)), "h", id="line breaks"),
        pytest.param(_facts(notes=(f"mnist: {LONG_PATH}",)), "h", id="path"),
        pytest.param(_facts(mnist=LONG_PATH, device="mps,cpu"), "h", id="setting"),
        pytest.param(_facts(), "Apple M2 " * 30, id="host"),
        pytest.param(_facts(_target(simulated=True)), "h", id="simulated"),
    ],
)
def test_no_line_of_the_header_exceeds_the_width(facts: RunFacts, host_line: str, width: int):
    lines = terminal.header(facts, host_line, width)
    assert [line for line in lines if len(line) > width or "\n" in line] == []


def test_no_word_is_lost_where_a_line_is_broken():
    lines = terminal.header(_facts(notes=(f"note: {LONG_TEXT}", f"mnist: {LONG_PATH}")), "h", 80)
    words = "".join("".join(lines).split())
    assert "".join(LONG_TEXT.split()) in words
    assert LONG_PATH in words


def test_a_broken_line_is_continued_with_an_indent():
    assert terminal.wrap("one two three four five", 20) == ["one two three four", "  five"]
    assert terminal.wrap("", 80) == [""]


# The summary


def test_a_run_without_tests_of_ours_has_no_summary():
    assert _summary() == []


def test_outcomes_are_counted_by_device_and_framework():
    records = [
        _record("passed"),
        _record("passed"),
        _record("failed"),
        _record("skipped", "cpu"),
        _record("passed", None, None),
    ]
    assert _summary(*records) == [
        "device  framework  tests  passed  failed  skipped",
        "mps     torch          3       2       1        0",
        "cpu     torch          1       0       0        1",
        "none                   1       1       0        0",
    ]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_has_a_column_only_when_it_occurred(outcome: str):
    assert _summary(_record(outcome))[0].split() == ["device", "framework", "tests", outcome]


def test_measurements_stand_side_by_side_by_device():
    records = [
        _record(accuracy=98.5, loss=0.123456),
        _record(device="cpu", accuracy=97.0, speed=123456.0),
    ]
    assert _summary(*records)[3:] == [
        "",
        "measured       mps          cpu",
        "accuracy    98.5 %         97 %",
        "loss      0.1235 %            -",
        "speed            -  1.235e+05 %",
    ]


def test_the_framework_is_named_where_several_measured():
    records = [_record(a=1.0), _record(framework="numpy", device="cpu", a=2.0)]
    assert _summary(*records)[4].split() == ["measured", "torch", "mps", "numpy", "cpu"]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0, "", "0"),
        (99999.0, "", "1e+05"),
        (1234.5678, "ms", "1235 ms"),
        (1e5, "", "1.000e+05"),
        (-2e9, "B", "-2.000e+09 B"),
        (float("nan"), "", "nan"),
        (float("inf"), "s", "inf s"),
    ],
)
def test_a_figure_has_four_digits_and_its_unit(value: float, unit: str, expected: str):
    assert terminal.figure(value, unit) == expected


EVERYWHERE = [
    _record(outcome, device, framework)
    for outcome in OUTCOMES
    for device, framework in [("mps-sim", "tensorflow"), ("cuda:12", "torch"), (None, None)]
]
MANY_DEVICES = [
    _record(device=f"cuda:{number}", framework=framework, **{"a measured name " * 3: 12345.678})
    for number in range(8, 14)
    for framework in ("torch", "tensorflow")
]


@pytest.mark.parametrize("width", [80, 60, 120])
@pytest.mark.parametrize(
    "records",
    [
        pytest.param([_record(**{"a long name " * 20: 1.0})], id="name"),
        pytest.param([_record(**{"x" * 300: 1.0}), _record(device="cpu", y=2.0)], id="one word"),
        pytest.param(EVERYWHERE, id="every outcome"),
        pytest.param([_record(device="a device of the project " * 9, a=1.0)], id="device"),
        pytest.param(MANY_DEVICES, id="many devices"),
        pytest.param(
            [
                Record(
                    "t",
                    "t",
                    "passed",
                    "torch",
                    "mps",
                    measurements=(Measurement("a", 1, "u" * 90),),
                )
            ],
            id="unit",
        ),
    ],
)
def test_no_line_of_the_summary_exceeds_the_width(records: list[Record], width: int):
    lines = _summary(*records, width=width, simulated=True)
    assert [line for line in lines if len(line) > width or "\n" in line] == []


def test_no_count_is_lost_where_the_table_is_too_wide():
    text = "\n".join(_summary(*EVERYWHERE, _record("hung", "cuda:12")))
    assert all(f" {outcome}" in text for outcome in OUTCOMES)
    assert text.count("mps-sim") == text.count("cuda:12") == 1
    assert "2 hung" in text


def test_no_measurement_is_lost_where_the_table_is_too_wide():
    text = "\n".join(_summary(*MANY_DEVICES))
    assert all(f"{one.framework} {one.device}" in text for one in MANY_DEVICES)
    assert text.count("1.235e+04") == len(MANY_DEVICES)


def test_a_long_name_is_cut_with_an_ellipsis_and_its_figure_kept():
    (line,) = [line for line in _summary(_record(**{"long " * 40: 98.5})) if "long" in line]
    assert "...  98.5 %" in line


def test_a_text_is_cut_only_where_it_is_too_long():
    assert [columns.shorten("abcdefgh", width) for width in (9, 8, 7)] == [
        "abcdefgh",
        "abcdefgh",
        "abcd...",
    ]


@pytest.mark.parametrize("simulated", [True, False])
def test_a_simulated_run_says_so_below(simulated: bool):
    lines = _summary(_record(), width=200, simulated=simulated)
    assert (SIMULATED_NOTICE in lines) is simulated


# Targets on which nothing ran


@pytest.mark.parametrize("outcome", sorted({*OUTCOMES}))
def test_a_target_is_missing_unless_a_test_was_carried_out_on_it(outcome: str):
    found = terminal.never_ran([_target()], [_record(outcome)])
    assert found == ([] if outcome in RAN else [_target()])
    assert (outcome in RAN) is (outcome not in ("skipped", "error"))


@pytest.mark.parametrize(
    ("target", "records", "missing"),
    [
        pytest.param(_target(), [], True, id="no tests"),
        pytest.param(_target(), [_record(device="cpu")], True, id="another device"),
        pytest.param(_target(), [_record(framework="numpy")], True, id="another framework"),
        pytest.param(_target(), [_record(device=None, framework=None)], True, id="no device"),
        pytest.param(_target(asked=False), [], False, id="chosen by auto"),
        pytest.param(_target(), [_record("skipped"), _record("failed")], False, id="one ran"),
    ],
)
def test_only_a_target_that_was_asked_for_can_be_missing(
    target: Target, records: list[Record], missing: bool
):
    assert terminal.never_ran([target], records) == ([target] if missing else [])
