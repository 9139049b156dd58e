"""The catalog: its files, what is asked of it, and its command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_applesilicon import cli
from pytest_applesilicon.catalog import advice, questions, reading
from pytest_applesilicon.simulate import table

DATA = Path(reading.__file__).with_name("data")

RELEASES = "2.0.0\t11.0\t12.3\t>=3.8\t1\t1\n2.9.1\t11.0\t14.0\t>=3.10\t2\t1\n"
OVERLOADS = "add.out\tN2.0.0\tN2.9.1\nlinalg_eigh\tC2.0.0\nlinalg_eig\tM2.0.0 N2.9.1\nnew\tN2.9.1\n"


@pytest.fixture
def small():
    return reading.parse(RELEASES, OVERLOADS, "linalg.eig\t2.9.1=bool,int8\n")


def run(*args):
    runner = pytest.importorskip("click.testing").CliRunner()
    return runner.invoke(cli.command(), ["catalog", *args], env={"COLUMNS": "80"})


def test_every_release_is_there():
    versions = [one.version for one in reading.load().releases]

    assert versions[0] == "2.0.0"
    assert {"2.2.2", "2.6.0", "2.13.0", "2.14.1", "2.15.0"} < set(versions)
    assert len(versions) == 28


@pytest.mark.parametrize(
    ("release", "listed", "by_hand"),
    [
        ("2.0.1", 308, 12),
        ("2.2.2", 372, 4),
        ("2.6.0", 410, 3),
        ("2.13.0", 518, 2),
        ("2.15.0", 542, 1),
    ],
)
def test_operators_with_a_kernel_are_as_many_as_were_counted_by_hand(release, listed, by_hand):
    """The table's own count, and the operators that only C++ or Python registers."""
    found = reading.load().release(release).operators

    assert listed < found <= listed + by_hand


def test_the_files_are_small_and_read_quickly():
    assert sum(one.stat().st_size for one in DATA.iterdir()) < 400_000
    program = (
        "import time; from pytest_applesilicon.catalog import reading; t = time.perf_counter();"
        "reading.load(); print(time.perf_counter() - t)"
    )

    seconds = [
        float(
            subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        )
        for _ in range(3)
    ]

    assert min(seconds) < 0.05


def test_reading_imports_no_framework():
    program = (
        "import sys; from pytest_applesilicon.catalog import reading; reading.load();"
        "print({'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


def test_status_by_release(small):
    assert small.status("linalg_eig", "2.0.0") == "missing"
    assert small.status("linalg_eig", "2.9.1") == "native"
    assert small.status("new", "2.0.0") == "absent"
    assert small.status("unheard_of", "2.0.0") == "absent"


def test_status_of_other_layouts(small):
    assert small.status("add.out", "2.0.0", "sparse_coo") == "missing"
    assert small.status("add.out", "2.9.1", "sparse_coo") == "native"
    assert small.status("add.out", "2.9.1", "sparse_csr") == "missing"
    assert small.status("linalg_eigh", "2.9.1", "sparse_csr") == "composite"


def test_a_release_by_its_first_numbers(small):
    assert small.release("2.9").version == "2.9.1"
    assert small.release("newest").version == "2.9.1"
    with pytest.raises(reading.CatalogError, match=r"torch '2.1' is not .* 2.0.0 to 2.9.1"):
        small.release("2.1")


@pytest.mark.parametrize(
    ("version", "release"),
    [("2.13.0+cpu", "2.13.0"), ("2.9.5", "2.9.1"), ("1.13", "2.0.0"), ("3.0.dev1", "2.15.0")],
)
def test_the_newest_release_up_to_a_version(version, release):
    assert reading.at_most(reading.load().releases, version).version == release


@pytest.mark.parametrize(
    "text",
    [
        "linalg_eig",
        "aten::linalg_eig",
        "torch.linalg.eig",
        "linalg.eig",
        "torch.ops.aten.linalg_eig.default",
    ],
)
def test_spellings_of_an_operator(text):
    assert reading.load().find(text) == ("linalg_eig", "linalg_eig.out")


def test_one_overload():
    assert reading.load().find("add.Tensor") == ("add.Tensor",)
    assert reading.load().find("torch.nn.functional.gelu")[0] == "gelu"


def test_an_unknown_operator_is_told_with_names_like_it():
    with pytest.raises(reading.CatalogError, match=r"no such operator; near: .*linalg_eigh"):
        reading.load().find("lingalg_eigh")


@pytest.mark.parametrize(
    ("releases", "overloads", "message"),
    [
        ("", OVERLOADS, "has no release"),
        ("2.0.0\t11.0\n", OVERLOADS, "line 1: not the six fields"),
        (RELEASES, "add\tX2.0.0\n", "'X2.0.0' is no change"),
        (RELEASES, "add\tN2.1.0\n", "'N2.1.0' is no change"),
        (RELEASES, "add\n", "line 1: 0 columns"),
    ],
)
def test_a_file_of_another_form_is_refused(releases, overloads, message):
    with pytest.raises(reading.CatalogError, match=message):
        reading.parse(releases, overloads)


def test_what_is_known_of_an_operator(small):
    found = questions.about(small, "linalg_eig", "2.0.0")

    assert [(one.status, one.release) for one in found.changes["linalg_eig"]] == [
        ("missing", "2.0.0"),
        ("native", "2.9.1"),
    ]
    assert found.advice[0] == "torch 2.9.1 has a kernel for it on MPS"
    assert questions.about(small, "linalg_eig", "2.9").refused == {"linalg.eig": ("bool", "int8")}
    assert questions.about(small, "add", "2.9").other_layouts == {
        "sparse_coo": {"add.out": "2.9.1"}
    }


def test_difference_of_two_releases(small):
    found = questions.difference(small, "2.9", "2.0.0")

    assert (found.older, found.newer) == ("2.0.0", "2.9.1")
    assert found.changed == {
        ("missing", "native"): ("linalg_eig",),
        ("absent", "native"): ("new",),
    }


def test_what_a_release_lacks(small):
    found = questions.missing(small, "2.0.0")

    assert found.operators == ("linalg_eig",)
    assert found.came == {"linalg_eig": "2.9.1"}


def test_internal_operators_are_counted_and_not_shown():
    found = questions.missing(reading.load(), "2.13")

    assert "heaviside" in found.operators
    assert not any(name.startswith("_") for name in found.operators)
    everything = questions.missing(reading.load(), "2.13", everything=True)
    assert len(everything.operators) == len(found.operators) + found.hidden


@pytest.mark.parametrize("one", advice.table(), ids=lambda one: one.operator)
def test_what_is_used_instead_gives_the_same(one):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    names = {"torch": torch, "x": torch.randn(4, 4), "y": torch.randn(4, 4)}
    names["x"][0, 0] = 0

    expected, found = (eval(text, names) for text in (one.call, one.instead))

    assert reading.load().find(one.operator)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_command_names_since_when():
    result = run("linalg_eig", "--torch", "2.13")

    assert result.exit_code == 0
    assert "linalg_eig      missing since 2.0.0" in result.output
    assert "PYTORCH_ENABLE_MPS_FALLBACK=1" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_command_diff_and_missing_fit_a_terminal():
    for args in (("diff", "2.0.0", "2.15"), ("missing", "--torch", "2.13"), ("releases",)):
        result = run(*args)
        assert result.exit_code == 0
        assert max(map(len, result.output.splitlines())) <= 80
    assert "heaviside" in run("missing", "--torch", "2.13").output


@pytest.mark.parametrize(
    ("args", "key"),
    [
        (("add", "--json"), "operator"),
        (("diff", "2.13", "2.15", "--json"), "difference"),
        (("missing", "--torch=2.13", "--json"), "missing"),
        (("releases", "--json"), "wheels"),
    ],
)
def test_command_as_json(args, key):
    document = json.loads(run(*args).output)

    assert document["schema_version"] == 1
    assert document["releases"][0] == "2.0.0"
    assert document[key]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("lingalg_eigh",), "Error: lingalg_eigh: no such operator; near: linalg_eigh"),
        (("diff", "2.13", "2.99"), "Error: torch '2.99' is not in the catalog"),
        (("missing", "--torch", "1.13"), "Error: torch '1.13' is not in the catalog"),
    ],
)
def test_command_refuses_in_one_line(args, message):
    result = run(*args)

    assert result.exit_code == 1
    assert result.output.startswith(message)
    assert len(result.output.splitlines()) == 1


def test_composite_is_what_torch_says():
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith("2.13.0"):
        pytest.skip("the installed torch is another release than the one compared")
    catalog = reading.load()
    always = ("CompositeImplicitAutograd", "CompositeExplicitAutograd")
    # Of a structured operator too, whose composite calls the missing ``out``.
    any_of = (*always, "CompositeExplicitAutogradNonFunctional")
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    known = [name for name in catalog.overloads if _known(torch, name)]
    wrong = [
        name
        for status, keys, expected in (("composite", any_of, True), ("missing", always, False))
        for name in known
        if catalog.status(name, "2.13.0") == status
        and any(has(f"aten::{name}", key) for key in keys) != expected
    ]

    assert len(known) > 2500
    assert wrong == []


def _known(torch, name):
    packet, _, rest = name.partition(".")
    return rest in getattr(getattr(torch.ops.aten, packet, None), "overloads", list)() or (
        not rest and hasattr(getattr(torch.ops.aten, packet, None), "default")
    )


def test_loading_twice_reads_once():
    reading.load()
    begin = time.perf_counter()
    reading.load()

    assert time.perf_counter() - begin < 0.001


def test_the_simulated_device_falls_back_where_its_release_always_does():
    catalog = reading.load()
    release = catalog.release("2.13").version
    always = {name for name in catalog.overloads if catalog.status(name, release) == "fallback"}

    assert always == table.ALWAYS_FALLBACK
