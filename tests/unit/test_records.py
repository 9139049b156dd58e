"""Records survive a trip through JSON, and a selection names its targets."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from pytest_applesilicon import records
from pytest_applesilicon.records import (
    RECORD_VERSION,
    Health,
    Host,
    Measurement,
    Published,
    Record,
    RunFacts,
    Selection,
    Target,
    Timing,
    finite_or_name,
    record_from_json,
    to_json,
)

BARE = Record(test_id="t.py::test", nodeid="t.py::test", outcome="passed")


def _target(framework: str, device: str, *, simulated: bool = False) -> Target:
    health = Health(device, framework, "ok", "works", simulated=simulated)
    return Target(framework, device, health, asked=True)


def _facts(*targets: Target) -> RunFacts:
    return RunFacts("1.0", "2026-01-01T00:00:00Z", Host("Linux"), targets, {}, {})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="bare"),
        pytest.param({"outcome": "skipped", "reason": "line\nbreak, \u00e9, \u2028"}, id="text"),
        pytest.param({"framework": "torch", "device": "mps", "simulated": True}, id="place"),
        pytest.param({"own_device": True, "duration_s": 0.1}, id="own device"),
        pytest.param({"duration_s": math.inf}, id="infinite duration"),
        pytest.param({"measurements": (Measurement("loss", -math.inf, "%"),)}, id="-inf"),
        pytest.param(
            {"measurements": (Measurement("a", math.inf), Measurement("b", 0.1 + 0.2))},
            id="two measurements",
        ),
        pytest.param(
            {
                "measurements": (
                    Measurement("epoch", 2.0, "s", (Published("4 to 5", "s", "M", "mps"),)),
                )
            },
            id="published",
        ),
        pytest.param({"timing": Timing("g", 1e-9, 5e-324, 0.0, 5, 100)}, id="timing"),
        pytest.param({"timing": Timing("", math.inf, -math.inf, 0.1, 1, 1)}, id="inf timing"),
    ],
)
def test_a_record_comes_back_from_json_as_it_went(changes: dict[str, object]):
    record = dataclasses.replace(BARE, **changes)
    assert record_from_json(to_json(record)) == record


def test_nan_comes_back_as_nan_in_measurements_and_timing():
    nan = math.nan
    record = dataclasses.replace(
        BARE, measurements=(Measurement("loss", nan),), timing=Timing("", nan, 1.0, nan, 1, 1)
    )
    back = record_from_json(to_json(record))
    assert math.isnan(back.measurements[0].value)
    assert back.timing is not None
    assert math.isnan(back.timing.median_s)
    assert back.timing.min_s == 1.0


def test_numbers_come_back_as_floats_even_where_json_wrote_whole_ones():
    record = dataclasses.replace(BARE, duration_s=1, measurements=(Measurement("n", 3),))
    back = record_from_json(to_json(record))
    assert type(back.duration_s) is float
    assert type(back.measurements[0].value) is float


def test_the_json_form_is_one_line_that_any_json_reader_accepts():
    text = to_json(dataclasses.replace(BARE, reason="a\nb", duration_s=math.nan))

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    fields = json.loads(text, parse_constant=refuse)
    assert "\n" not in text
    assert fields["duration_s"] == "nan"
    assert fields["version"] == RECORD_VERSION


@pytest.mark.parametrize(
    ("version", "shown"),
    [(RECORD_VERSION + 1, str(RECORD_VERSION + 1)), (0, "0"), ("1", "'1'"), (None, "None")],
)
def test_another_version_is_refused_with_what_to_do(version: object, shown: str):
    fields = json.loads(to_json(BARE)) | {"version": version}
    with pytest.raises(ValueError, match="record version") as refused:
        record_from_json(json.dumps(fields))
    assert str(refused.value) == (
        f"record version {shown}, expected {RECORD_VERSION}: "
        "install the same pytest-applesilicon on every worker"
    )


def test_a_record_without_a_version_is_refused():
    fields = json.loads(to_json(BARE))
    del fields["version"]
    with pytest.raises(ValueError, match="record version None, expected"):
        record_from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (1.5, 1.5),
        (True, True),
        ("nan", "nan"),
        (None, None),
        ({"a": (math.nan, [math.inf])}, {"a": ["nan", ["inf"]]}),
    ],
)
def test_only_numbers_that_json_lacks_are_named(value: object, expected: object):
    assert finite_or_name(value) == expected


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([], False),
        ([_target("torch", "mps")], False),
        ([_target("torch", "cpu"), _target("torch", "mps-sim", simulated=True)], True),
    ],
)
def test_a_run_is_simulated_as_soon_as_one_target_is(targets: list[Target], expected: bool):
    assert _facts(*targets).simulated is expected


@pytest.mark.parametrize(
    ("places", "ids"),
    [
        pytest.param([("torch", "mps")], ["mps"], id="one"),
        pytest.param([("torch", "cpu"), ("torch", "mps")], ["cpu", "mps"], id="two devices"),
        pytest.param(
            [("torch", "cpu"), ("numpy", "cpu")], ["torch-cpu", "numpy-cpu"], id="two frameworks"
        ),
        pytest.param([("torch", "cuda:1")], ["cuda:1"], id="device with a number"),
    ],
)
def test_the_framework_is_part_of_an_id_only_where_there_are_several(
    places: list[tuple[str, str]], ids: list[str]
):
    selection = Selection(Host("Linux"), tuple(_target(*place) for place in places))
    assert [selection.id_of(target) for target in selection.targets] == ids


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ["torch", "torch", "numpy"]),
        (("torch",), ["torch", "torch"]),
        (("numpy", "torch"), ["torch", "torch", "numpy"]),
        (("jax",), []),
    ],
)
def test_targets_are_chosen_by_framework_in_the_order_of_the_run(
    names: tuple[str, ...], expected: list[str]
):
    targets = (_target("torch", "cpu"), _target("torch", "mps"), _target("numpy", "cpu"))
    found = Selection(Host("Linux"), targets).for_frameworks(names)
    assert [target.framework for target in found] == expected


@pytest.mark.parametrize(
    "kind",
    [one for one in vars(records).values() if dataclasses.is_dataclass(one)],
    ids=lambda kind: kind.__name__,
)
def test_every_record_is_frozen(kind: type):
    record = object.__new__(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, dataclasses.fields(kind)[0].name, "changed")


@pytest.mark.parametrize(
    ("state", "phrase"),
    [
        ("ok", "is ok"),
        ("absent", "is absent"),
        ("unusable", "is unusable"),
        ("miscomputes", "miscomputes"),
    ],
)
def test_a_state_ends_a_sentence(state: str, phrase: str):
    assert Health("mps", "torch", state, "why").phrase == phrase  # type: ignore[arg-type]
