"""The page of a report: whole, offline, readable without JavaScript, and safe from its names."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser

import pytest
from report_made import everything, facts, record, sweep, timing, verdict

from pytest_applesilicon.records import Report
from pytest_applesilicon.reports import html, run_parts
from pytest_applesilicon.reports.parts import Column, Page, Part, Table, visible

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "</style></script></title><h1>",
    "javascript:alert(1)",
    "\x1b[31mred\x00\x07",
    "abc\u202efed",
    "\ud800lone",
    "x" * 100_000,
)


class Reader(HTMLParser):
    """Tags, addresses and visible text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def page_of(report: Report) -> str:
    return html.to_html(run_parts.page(report), "0")


def test_every_part_is_there_where_the_report_has_something_for_it():
    ids = [part.id for part in run_parts.page(everything()).parts]

    assert ids == [
        "overview",
        "failures",
        "operators",
        "agreement",
        "budgets",
        "benchmarks",
        "measured",
        "regressions",
        "known-failures",
        "environment",
        "activity",
        "monitor",
        "tests",
        "conditions",
    ]


def test_a_part_without_content_is_left_out():
    ids = [part.id for part in run_parts.page(Report(facts(), (record("t.py::a"),))).parts]

    assert ids == ["overview", "tests", "conditions"]


def test_every_row_is_in_the_page_without_javascript():
    found = Reader(page_of(sweep(1000)))

    names = set(re.findall(r"operator_\d+", found.text))
    assert names == {f"operator_{at}" for at in range(200)}
    assert found.text.count("nn.functional.operator_") >= 1000


def test_page_of_five_thousand_operators_is_below_three_megabytes():
    assert len(page_of(sweep(5000)).encode()) < 3_000_000


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_shown_and_not_obeyed(name):
    plain = Reader(page_of(Report(facts(), (record("t.py::x", "failed", reason="y"),))))

    hostile = Reader(page_of(Report(facts(), (record(f"t.py::{name}", "failed", reason=name),))))

    assert hostile.tags == plain.tags
    assert hostile.attributes == plain.attributes
    assert visible(name, 590)[:500] in hostile.text


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_in_a_picture_a_version_and_a_setting_is_harmless(name):
    def made(text: str) -> Reader:
        from pytest_applesilicon.records import Measurement

        measured = (Measurement(text, 1.0, "s"), Measurement("b", 2.0, "s"))
        told = facts(notes=(text,), versions={"torch": text}, settings={text: text}, created=text)
        return Reader(page_of(Report(told, (record("t", measurements=measured),))))

    assert made(name).tags == made("plain").tags
    assert made(name).attributes == made("plain").attributes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\x1b[0m", r"a\x1b[0m"),
        ("two\nlines", "two lines"),
        ("\u202eback", r"\u202eback"),
        ("\ud800", r"\ud800"),
        ("x" * 20, "xxxxxxxxxx... (20 characters)"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert visible(text, 10) == shown


def test_page_asks_the_network_for_nothing():
    report = everything()
    found = Reader(page_of(report))

    loading = [value for name, value in found.attributes if name in ("src", "srcset", "action")]
    links = {value for name, value in found.attributes if name == "href"}
    assert loading == []
    assert "link" not in found.tags
    assert {link for link in links if not link.startswith("#")} == {
        "https://github.com/pytorch/pytorch/issues/118115"
    }
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", page_of(report))


def test_policy_lets_only_the_scripts_and_the_style_of_the_page_run():
    page = page_of(everything())
    policy = re.search(r'Content-Security-Policy" content="(.+?)"', page)
    assert policy is not None

    for text in re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.S):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'")
    assert " style=" not in page


def test_simulated_faults_and_an_interruption_stand_above_everything():
    told = facts("mps-sim", simulated=True, exit_status=2)
    page = run_parts.page(Report(told, (record("t", device="mps-sim", faults=("sinc-wrong",)),)))

    assert page.notice.startswith("simulated: ")
    assert "faults switched on: sinc-wrong" in page.notice
    assert "did not come to its end" in page.notice


def test_what_is_wrong_comes_first_among_the_operators():
    part = next(one for one in run_parts.page(everything()).parts if one.id == "operators")

    assert [row[0] for row in part.tables[-1].rows] == ["sinc", "eig", "add"]


def test_a_new_part_needs_no_renderer():
    table = Table(
        (Column("limit"), Column("verdict", choose=True)), (("2 s", "exceeded"),), "Budgets"
    )
    page = Page("t", "l", parts=(Part("budgets", "Budgets", tables=(table,)),))

    text = html.to_html(page, "0")

    assert '<section id="budgets"' in text
    assert "<td class=bad>exceeded" in text


def test_missing_jinja_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(
        html.MissingJinjaError, match="pip install 'pytest-applesilicon\\[report\\]'"
    ):
        html.to_html(Page("t", "l"), "0")


def test_budgets_and_published_figures_are_shown_as_they_are():
    from pytest_applesilicon.records import Measurement, Published

    figure = Measurement("matmul", 2.5, "TFLOPS", (Published("2.9", "TFLOPS", "M1 Max", "mps"),))
    records = (
        record("b", timing=timing(0.5), verdicts=(verdict("met", 0.1), verdict("exceeded"))),
        record("c", measurements=(figure,)),
    )

    parts = {one.id: one for one in run_parts.page(Report(facts(), records)).parts}

    assert [row[5] for row in parts["budgets"].tables[0].rows] == ["exceeded", "met"]
    assert parts["budgets"].tables[0].rows[0][3:5] == ("0.4 ms", "0.5")
    assert parts["budgets"].pictures[0].svg.count('class="mark"') == 2
    assert parts["measured"].tables[0].rows[0][3] == "2.9 TFLOPS (M1 Max, mps)"
