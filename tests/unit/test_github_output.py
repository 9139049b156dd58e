"""Markdown, annotations and JUnit properties, as GitHub and others take them."""

from __future__ import annotations

import re

import pytest
from report_made import everything, facts, operator, record
from test_page import HOSTILE

from pytest_applesilicon.records import Measurement, Report
from pytest_applesilicon.reports import github, markdown, run_parts


def of(report: Report, **more) -> str:
    return markdown.to_markdown(run_parts.page(report), **more)


def test_markdown_has_what_the_page_has():
    text = of(everything())

    for part in run_parts.page(everything()).parts:
        assert f"### {part.title}" in text.replace("\\", "")
    assert "| `sinc` | pointwise | float32 | forward | wrong |" in text


def test_details_are_left_out_of_a_summary():
    assert "Versions and settings" not in of(everything(), folded=False)


def test_a_long_table_is_cut_and_says_so():
    report = Report(facts(), tuple(record(f"t::{at}", "failed") for at in range(40)))

    assert "and 15 more" in of(report)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_breaks_no_table_and_no_markup(name):
    plain = of(Report(facts(), (record("t::a", "failed", reason="b"),)))

    text = of(Report(facts(), (record(f"t::{name}", "failed", reason=name),)))

    assert text.count("\n") == plain.count("\n")
    assert _cells(text) == _cells(plain)
    outside = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)[<>]", outside.replace("> **", ""))


def _cells(text: str) -> list[int]:
    return [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines()]


def test_backticks_of_a_name_do_not_end_its_code():
    text = of(Report(facts(), (record("t::a``b`|c", "failed"),)))

    assert r"```t::a``b`\|c```" in text


def test_a_failed_test_is_annotated_at_its_file_with_its_device():
    failed = record("t.py::a[mps-sim]", "failed", "mps-sim", simulated=True, reason="50% off\nx")

    (line,) = github.commands([record("t.py::b"), failed], "sub/")

    where = "file=sub/t.py,title=failed on mps-sim (simulated)%3A t.py%3A%3Aa[mps-sim]"
    assert line == f"::error {where}::50%25 off x"


def test_no_more_annotations_than_github_shows():
    lines = github.commands([record(f"t.py::{at}", "failed") for at in range(25)], "")

    assert len(lines) == 10
    assert lines[-1] == "::error ::and 16 more tests failed; see the summary"


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_an_annotation_is_one_command_whatever_the_test_is_called(name):
    lines = github.commands([record(f"{name}\n::error::x,y=1::z", "failed", reason=name)], "")

    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert "\r" not in lines[0]
    assert re.fullmatch(r"::error file=[^,:]*,title=[^,:]*::.*", lines[0])


def test_properties_of_a_test_are_few_and_text():
    one = operator("add", "wrong", "mps-sim")

    assert github.properties(one) == [
        ("applesilicon.device", "mps-sim"),
        ("applesilicon.framework", "torch"),
        ("applesilicon.operator", "add"),
        ("applesilicon.operator-outcome", "wrong"),
    ]
    assert github.properties(record("t", device=None)) == []
    measured = record("t", simulated=True, measurements=(Measurement("rate", 2.5, "TFLOPS"),))
    assert github.properties(measured)[-2:] == [
        ("applesilicon.simulated", "true"),
        ("applesilicon.measured.rate", "2.5 TFLOPS"),
    ]
