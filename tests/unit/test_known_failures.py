"""Entries of known failures: read strictly, matched to tests, edited without loss."""

from __future__ import annotations

import datetime

import pytest

from pytest_applesilicon import known_failures as known
from pytest_applesilicon.known_failures import Condition, ManifestError, Today
from pytest_applesilicon.known_failures_edit import Changes, Failure, edited, write
from pytest_applesilicon.records import Host

GOOD = """# the whole file
[[known_failure]]
test = "tests/test_a.py::test_one[mps]"
raises = "RuntimeError"
reason = "wrong strides"
issue = "https://github.com/pytorch/pytorch/issues/1"
date = 2026-11-21
device = "mps"
"""

MAC = Host("macOS", "15.5", chip="Apple M1 Pro", generation="M1")
TODAY = Today(MAC, "mps", False, "2.13.0")


def entry(**fields):
    lines = {"test": "t.py::t", "raises": "X", "reason": "r", "date": datetime.date(2026, 11, 21)}
    lines |= fields
    text = "\n[[known_failure]]\n"
    for name, value in lines.items():
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        text += f"{name} = {shown}\n" if value is not None else ""
    return text


def test_fields_are_read():
    (one,) = known.parse(GOOD, "kf.toml").entries

    assert (one.index, one.line, one.test) == (0, 2, "tests/test_a.py::test_one[mps]")
    assert (one.raises, one.outcome, one.reason) == ("RuntimeError", None, "wrong strides")
    assert one.date == datetime.date(2026, 11, 21)
    assert one.condition == Condition(device="mps")


def test_empty_file_lists_nothing():
    assert known.parse("# nothing\n", "kf.toml").entries == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"raise": "X"},
            "field raise: 'X' is not accepted; there is no such field; accepted: test, raises",
        ),
        ({"reason": None}, "field reason is missing; accepted: test"),
        ({"date": None}, "field date is missing"),
        ({"date": "soon"}, "field date: 'soon' is not accepted; give a date such as 2026-11-21"),
        ({"reason": 5}, "field reason: 5 is not accepted; give a text"),
        ({"reason": " "}, "field reason: '' is not accepted; give a text"),
        ({"test": ""}, "field test: '' is not accepted; give a text"),
        ({"simulated": "yes"}, "field simulated: 'yes' is not accepted; give true or false"),
        ({"raises": None}, "fields raises and outcome: neither is given; give the exc"),
        ({"outcome": "hung"}, "field raises: 'X' is not accepted beside outcome 'hung'"),
        (
            {"raises": None, "outcome": "wrong"},
            "field outcome: 'wrong' is not accepted; give one of failed, error, crashed, hung",
        ),
        (
            {"raises": "Runtime Error"},
            "field raises: 'Runtime Error' is not accepted; give the name",
        ),
        ({"device": "gpu"}, "field device: 'gpu' is not accepted; give a device: cpu, mps"),
        ({"macos": "15"}, "field macos: '15' is not accepted; give a range of versions"),
        ({"torch": ">=two"}, "field torch: '>=two' is not accepted; give a range of versions"),
        ({"chip": "M1/M2"}, "field chip: 'M1/M2' is not accepted; give a chip"),
    ],
)
def test_bad_field_is_named_with_file_entry_line_value_and_choices(fields, message):
    text = entry(test="t.py::first") + entry(**fields)
    with pytest.raises(ManifestError) as raised:
        known.parse(text, "kf.toml")

    line = text.splitlines().index("[[known_failure]]", 3) + 1
    assert str(raised.value).startswith(f"kf.toml: known_failure[1] (line {line}): {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[known_failure]]\ntest = ", "kf.toml: not a whole TOML document: .+"),
        ("[known_failure]\ntest = 'a'", "kf.toml: known_failure is one table; give .*two brackets"),
        ("known = 3", "kf.toml: 'known' is not accepted; give .* tables only"),
        ("known_failure = [3]", r"kf.toml: known_failure\[0\] \(line 1\): 3 is not a table"),
    ],
)
def test_bad_document_is_one_error(text, message):
    with pytest.raises(ManifestError, match=message):
        known.parse(text, "kf.toml")


def test_same_test_under_the_same_condition_is_refused():
    with pytest.raises(
        ManifestError, match=r"known_failure\[1\] .* listed with the same condition"
    ):
        known.parse(entry() + entry(reason="again"), "kf.toml")

    assert len(known.parse(entry() + entry(device="mps"), "kf.toml").entries) == 2


def test_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"kf\.toml: No such file"):
        known.read(tmp_path / "kf.toml")
    (tmp_path / "kf.toml").write_bytes(b"\xff")
    with pytest.raises(ManifestError, match="not UTF-8"):
        known.read(tmp_path / "kf.toml")


@pytest.mark.parametrize(
    ("pattern", "test", "named"),
    [
        ("t.py::a[mps]", "t.py::a[mps]", True),
        ("t.py::a[mps]", "t.py::am", False),
        ("t.py::a[*]", "t.py::a[mps-1]", True),
        ("t.py::a[?]", "t.py::a[12]", False),
        ("*::a", "deep/t.py::a", True),
        ("t.py::*", "u.py::a", False),
    ],
)
def test_brackets_of_an_id_are_brackets_in_a_pattern(pattern, test, named):
    (one,) = known.parse(entry(test=pattern), "kf.toml").entries

    assert one.names(test) is named


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ({}, True),
        ({"device": "mps"}, True),
        ({"device": "cpu"}, False),
        ({"device": "mps-sim"}, False),
        ({"chip": "M1"}, True),
        ({"chip": "M1 Pro"}, True),
        ({"chip": "m1*"}, True),
        ({"chip": "M1 Max"}, False),
        ({"macos": ">=15,<16"}, True),
        ({"macos": ">=26"}, False),
        ({"torch": "<2.14"}, True),
        ({"torch": ">=2.14"}, False),
        ({"simulated": False}, True),
        ({"simulated": True}, False),
        ({"device": "mps", "torch": ">=2.14"}, False),
    ],
)
def test_condition(fields, holds):
    (one,) = known.parse(entry(**fields), "kf.toml").entries

    assert one.condition.holds(TODAY) is holds


def test_condition_of_what_is_not_there_does_not_hold():
    linux = Today(Host("Linux", "12"), "cuda:1", False, None)

    assert not Condition(macos=">=1").holds(linux)
    assert not Condition(torch=">=1").holds(linux)
    assert not Condition(chip="M1").holds(linux)
    assert Condition(device="cuda").holds(linux)
    assert not Condition(device="cuda:0").holds(linux)


def test_local_part_and_nightly_of_torch_are_compared():
    assert Condition(torch=">=2.13").holds(Today(MAC, "mps", False, "2.13.0+cpu"))
    assert Condition(torch=">=2.14").holds(Today(MAC, "mps", False, "2.14.0.dev20260901"))
    assert not Condition(torch="<2.14").holds(Today(MAC, "mps", False, "2.14.0.dev20260901"))


def test_entry_for_one_test_comes_before_a_pattern():
    manifest = known.parse(entry(test="t.py::*") + entry(raises="Y"), "kf.toml")

    assert manifest.applying("t.py::t", TODAY).raises == "Y"
    assert manifest.applying("t.py::other", TODAY).raises == "X"
    assert manifest.applying("u.py::t", TODAY) is None


@pytest.mark.parametrize(
    ("raises", "exception", "expected"),
    [
        ("RuntimeError", "RuntimeError", True),
        ("RuntimeError", "NotImplementedError", False),
        ("OutOfMemoryError", "torch.OutOfMemoryError", True),
        ("torch.OutOfMemoryError", "torch.OutOfMemoryError", True),
        ("other.OutOfMemoryError", "torch.OutOfMemoryError", False),
        ("RuntimeError", None, False),
    ],
)
def test_exception_is_compared_by_its_own_type(raises, exception, expected):
    (one,) = known.parse(entry(raises=raises), "kf.toml").entries

    assert one.expects("failed", exception) is expected


def test_exception_and_outcome_are_compared_together():
    (one,) = known.parse(entry(outcome="error"), "kf.toml").entries

    assert one.expects("error", "X")
    assert not one.expects("failed", "X")
    assert not one.expects("error", "Y")


def test_outcome_is_compared():
    (one,) = known.parse(entry(raises=None, outcome="crashed"), "kf.toml").entries

    assert one.expects("crashed", None)
    assert not one.expects("hung", None)
    assert not one.expects("failed", "RuntimeError")


COMMENTED = """# licence

# why one is here
[[known_failure]]   # one
test = "t.py::one"  # spaced   oddly
raises   = "X"
reason = "r"
date = 2026-01-01

# why two is here
[[known_failure]]
test = "t.py::two"
raises = "X"
reason = '''several
lines'''
date = 2026-01-01
# the end
"""

DAY = datetime.date(2026, 11, 21)


def edit(text, **changes):
    pytest.importorskip("tomlkit")
    return edited(text, known.parse(text, "kf.toml"), Changes(**changes), DAY)


def test_added_entry_leaves_the_rest_as_it_was():
    new = edit(COMMENTED, added=(Failure('t.py::a["b"]', "failed", "E", "why\\", "mps", True),))

    assert new.startswith(COMMENTED)
    three = known.parse(new, "kf.toml").entries[2]
    assert (three.test, three.raises, three.reason) == ('t.py::a["b"]', "E", "why\\")
    assert (three.date, three.condition) == (DAY, Condition(device="mps", simulated=True))


def test_first_entry_makes_a_file():
    new = edit("", added=(Failure("t.py::a", "hung", None, "why"),))

    (one,) = known.parse(new, "kf.toml").entries
    assert (one.outcome, one.raises) == ("hung", None)


@pytest.mark.parametrize(("removed", "left"), [((0,), ["two"]), ((1,), ["one"]), ((0, 1), [])])
def test_removed_entry_leaves_every_comment_around_it(removed, left):
    new = edit(COMMENTED, removed=removed)

    assert [one.test for one in known.parse(new, "kf.toml").entries] == [
        f"t.py::{one}" for one in left
    ]
    for comment in ("# licence", "# why one is here", "# why two is here", "# the end"):
        assert comment in new


def test_corrected_entry_changes_in_two_lines_only():
    new = edit(COMMENTED, changed={0: Failure("t.py::one", "failed", "Y", "r")})

    before, after = COMMENTED.splitlines(), new.splitlines()
    assert [line for line in after if line not in before] == ['raises   = "Y"', "date = 2026-11-21"]
    assert len(before) == len(after)


def test_exception_becomes_an_outcome():
    new = edit(COMMENTED, changed={0: Failure("t.py::one", "crashed", None, "r")})

    assert known.parse(new, "kf.toml").entries[0].expected == "crashed"


def test_error_of_a_fixture_is_written_as_such():
    new = edit("", added=(Failure("t.py::a", "error", "KeyError", "why"),))

    assert known.parse(new, "kf.toml").entries[0].expected == "KeyError in error"


def test_layout_that_cannot_be_edited_is_left_alone(tmp_path):
    pytest.importorskip("tomlkit")
    text = 'known_failure = [{test = "t", raises = "X", reason = "r", date = 2026-01-01}]\n'
    file = tmp_path / "kf.toml"
    file.write_text(text)

    with pytest.raises(ManifestError):
        write(file, known.read(file), Changes(added=(Failure("u", "failed", "E", "w"),)), DAY)

    assert file.read_text() == text


def test_file_that_changed_meanwhile_is_left_alone(tmp_path):
    pytest.importorskip("tomlkit")
    file = tmp_path / "kf.toml"
    file.write_text(COMMENTED)
    manifest = known.read(file)
    file.write_text(entry())

    with pytest.raises(ManifestError, match="nothing was written"):
        write(file, manifest, Changes(added=(Failure("u", "failed", "E", "w"),)), DAY)

    assert file.read_text() == entry()
