"""Signatures, their files, their verdicts and what is shown of them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pytest_applesilicon.audit import judging, risks, signatures
from pytest_applesilicon.audit.signatures import Signature, SignatureError
from pytest_applesilicon.audit_records import audit_from_fields
from pytest_applesilicon.catalog import reading
from pytest_applesilicon.reports import audit as shown

RELEASES = "".join(f"2.{n}.0\t11.0\t14.0\t>=3.10\t1\t1\n" for n in range(3))
OVERLOADS = """\
good\tN2.0.0
young\tM2.0.0 N2.2.0
lost\tM2.0.0
slow\tF2.0.0 N2.1.0
whole\tC2.0.0
part.out\tM2.0.0 N2.1.0
newer\tN2.1.0
_inner\tN2.1.0
convolution\tC2.0.0
_mps_convolution\tN2.0.0
"""
CATALOG = reading.parse(RELEASES, OVERLOADS)


def made(operator, *, called=(), first="t.py::a", line="lib/a.py:1", dtype="float32", **changed):
    tensor = {"tensor": dtype, "shape": [2], **changed.pop("tensor", {})}
    fields = {
        "operator": f"aten::{operator}", "args": (tensor,), "kwargs": {}, "results": (dtype,),
        "gradient": False, "calls": 1, "tests": 1, "first_test": first, "line": line,
        "called": called,
    }  # fmt: skip
    return Signature(**{**fields, **changed})


@pytest.mark.parametrize(
    ("operator", "called", "release", "verdict"),
    [
        ("good", (), "2.0.0", "native"),
        ("young", (), "2.1.0", "unsupported"),
        ("young", (), "2.2.0", "native"),
        ("slow", (), "2.0.0", "fallback"),
        ("whole", (("good", ()),), "2.0.0", "native"),
        ("whole", (("good", ()), ("part.out", ())), "2.0.0", "unsupported"),
        ("whole", (("good", ()), ("part.out", ())), "2.1.0", "native"),
        ("whole", (("slow", ()), ("whole", (("lost", ()),))), "2.0.0", "unsupported"),
        ("whole", (("slow", ()),), "2.0.0", "fallback"),
        # A kernel of MPS's own: what the CPU makes it of does not matter.
        ("good", (("lost", ()),), "2.0.0", "native"),
        ("newer", (), "2.0.0", "unsupported"),
        ("_inner", (), "2.0.0", "unknown"),
        ("never_heard_of", (), "2.0.0", "unknown"),
        # The backend chooses: what the CPU chose says nothing.
        ("convolution", (("lost", ()),), "2.0.0", "native"),
    ],
)
def test_verdict(operator, called, release, verdict):
    assert judging.Judge(CATALOG, release).of(made(operator, called=called))[0] == verdict


def test_who_is_to_blame():
    called = (("good", ()), ("whole", (("part.out", ()),)), ("lost", ()))

    verdict = judging.Judge(CATALOG, "2.0.0").of(made("whole", called=called))

    assert verdict == ("unsupported", ("part.out", "lost"))


def test_sparse_tensors_are_judged_by_their_own_kernels():
    sparse = made("good", tensor={"layout": "sparse_coo"})

    assert judging.Judge(CATALOG, "2.0.0").of(sparse)[0] == "unsupported"


def test_an_operator_of_another_library_is_unknown():
    other = dataclasses.replace(made("x"), operator="torchvision::nms")

    assert judging.Judge(CATALOG, "2.0.0").of(other) == ("unknown", ("torchvision::nms",))


def test_the_lowest_release():
    def lowest(*names):
        return judging.judge([made(name) for name in names], CATALOG, "2.0.0").lowest

    assert lowest("good") == "2.0.0"
    assert lowest("good", "slow") == "2.1.0"
    assert lowest("good", "slow", "young") == "2.2.0"
    assert lowest("good", "lost") == ""


def test_findings_name_the_library_before_the_test():
    several = [
        made("young", first="t.py::b", line="tests/test_x.py:3", calls=5),
        made("young", first="t.py::c", line="lib/a.py:9", tensor={"shape": [9]}),
    ]

    (use,) = judging.judge(several, CATALOG, "2.1.0").uses

    assert (use.verdict, use.calls, use.since) == ("unsupported", 6, "2.2.0")
    assert (use.first_test, use.line) == ("t.py::c", "lib/a.py:9")


def test_float64_and_complex128_are_findings():
    found = judging.judge([made("good", dtype="float64"), made("good")], CATALOG, "2.0.0")

    assert [one.verdict for one in found.uses] == ["float64"]
    assert found.counts == {"native": 1}


def test_reported_bugs_are_matched_by_dtype_and_layout():
    strided, offset = {"stride": [2]}, {"offset": 1}

    def found(*several, release="2.0.0"):
        return [one.verdict for one in judging.judge(several, CATALOG, release).uses
                if one.verdict in ("int64", "layout")]  # fmt: skip

    assert found(made("cumsum", dtype="int64")) == ["int64"]
    assert found(made("cumsum", dtype="int64"), release="2.2.0") == []
    assert found(made("cumsum")) == []
    assert found(made("addcmul_", tensor=strided)) == ["layout"]
    assert found(made("scatter_add_", tensor=offset)) == ["layout"]
    assert found(made("scatter_add_", tensor=strided)) == []


def test_every_risk_names_an_operator_of_the_catalog():
    catalog = reading.load()
    for name, several in risks.table().items():
        assert name in catalog.operators, name
        for one in several:
            assert one.condition in ("int64", "strided", "offset")
            assert one.issue.startswith("pytorch#")


def test_signatures_of_two_processes_are_one():
    first = made("good", first="t.py::b", calls=3, tests=2, tensor={"bytes": "AAAA"})
    second = made("good", first="t.py::a", calls=4, tests=1, tensor={"low": 0})

    (one,) = signatures.merged([[first], [second]])

    assert (one.calls, one.tests, one.first_test) == (7, 3, "t.py::a")
    assert len(signatures.merged([[first], [made("good", tensor={"shape": [3]})]])) == 2


def test_a_file_is_read_as_it_was_written(tmp_path):
    several = [made("whole", called=(("good", ()), ("x", (("y", ()),)))), made("good")]
    path = tmp_path / "calls.json"

    signatures.write(path, several, "2.13.0")

    assert signatures.read(path) == (several, "2.13.0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a whole JSON document"),
        ('{"a": 1}', "not a signature file: it has no signatures_version"),
        ('{"signatures_version": 9}', "signatures_version is 9, accepted: 1"),
        ('{"signatures_version": 1, "signatures": [{}]}', r"signatures\[0\] does not have"),
        ("[" * 100000, "not a whole JSON document"),
    ],
)
def test_a_file_of_another_form_is_one_error(tmp_path, text, message):
    path = tmp_path / "calls.json"
    path.write_text(text)

    with pytest.raises(SignatureError, match=f"^{path}: {message}"):
        signatures.read(path)


def test_a_truncated_file_is_one_error(tmp_path):
    path = tmp_path / "calls.json"
    signatures.write(path, [made("good")], "2.13.0")
    path.write_text(path.read_text()[:-9])

    with pytest.raises(SignatureError, match="not a whole JSON document"):
        signatures.read(path)


def test_the_lines_fit_a_terminal_and_say_where():
    several = [
        made("whole", called=(("part.out", ()),), calls=1200, first="tests/t.py::" + "n" * 60),
        made("lost", dtype="float64"),
        made("slow"),
    ]

    lines = shown.lines(judging.judge(several, CATALOG, "2.0.0"), 80)

    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "aten::whole through part.out: 1,200 calls, native since 2.1.0" in text
    assert "aten::lost: 1 call, native in no release" in text
    assert "float64: no MPS has it (1)" in text
    assert "nothing ran on MPS" in text
    assert "no release in the catalog has everything used as native" in text


def test_an_audit_survives_json():
    found = judging.judge([made("lost"), made("good")], CATALOG, "2.0.0", lost=("gw1",))

    assert audit_from_fields(json.loads(json.dumps(dataclasses.asdict(found)))) == found
    assert any("gw1" in line for line in shown.lines(found, 80))


def test_without_a_call_nothing_is_claimed():
    lines = shown.lines(judging.judge([], CATALOG, "2.0.0"), 80)

    assert lines[-1] == "no operator was used"
