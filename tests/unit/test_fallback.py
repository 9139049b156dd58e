"""Torch's CPU fallback is switched in time, or the user learns who was too early."""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon import fallback
from pytest_applesilicon.frameworks.pytorch import FALLBACK_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

TORCH = types.ModuleType("torch")


def _warning(operator: str) -> str:
    """The text of torch 2.13."""
    return (
        f"The operator '{operator}' is not currently supported on the MPS backend and will fall "
        "back to run on the CPU. This may have performance implications."
    )


def _module(name: str, file: str | None = None, **held: object) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(held)
    if file:
        module.__file__ = file
    return module


def _table(*modules: types.ModuleType) -> dict[str, types.ModuleType]:
    return {module.__name__: module for module in modules}


def _python(code: str, folder: Path) -> str:
    """What a new interpreter prints that was started in a folder."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "error"),
        ("", "error"),
        ("0", "error"),
        (" 0 ", "error"),
        ("1", "allow"),
        ("2", "allow"),
    ],
)
def test_unset_and_zero_mean_error(value: str | None, expected: str):
    environ = {} if value is None else {FALLBACK_VARIABLE: value}
    assert fallback.in_force(environ) == expected


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ({}, "allow", "1"),
        ({FALLBACK_VARIABLE: "0"}, "allow", "1"),
        ({FALLBACK_VARIABLE: "1"}, "error", "0"),
    ],
)
def test_the_variable_is_set_and_put_back_as_it_was(
    before: dict[str, str], wanted: str, after: str
):
    environ = {"PATH": "x", **before}
    restore = fallback.switch(wanted, environ, {})
    assert environ == {"PATH": "x", FALLBACK_VARIABLE: after}
    assert fallback.in_force(environ) == wanted
    assert restore is not None
    restore()
    assert environ == {"PATH": "x", **before}


def test_putting_back_does_not_mind_that_the_variable_is_gone():
    environ: dict[str, str] = {}
    restore = fallback.switch("allow", environ, {})
    environ.clear()
    assert restore is not None
    restore()
    assert environ == {}


@pytest.mark.parametrize(
    ("environ", "wanted", "modules"),
    [
        pytest.param({}, "error", {}, id="unset says so already"),
        pytest.param({FALLBACK_VARIABLE: "1"}, "allow", {}, id="set says so already"),
        pytest.param({}, "allow", {"torch": TORCH}, id="torch would not notice"),
    ],
)
def test_the_variable_is_left_alone(
    environ: dict[str, str], wanted: str, modules: dict[str, types.ModuleType]
):
    before = dict(environ)
    assert fallback.switch(wanted, environ, modules) is None
    assert environ == before


@pytest.mark.parametrize(
    ("environ", "wanted", "modules"),
    [
        pytest.param({}, "allow", {}, id="torch is not imported"),
        pytest.param({}, "error", {"torch": TORCH}, id="it is in force"),
        pytest.param({FALLBACK_VARIABLE: "1"}, "allow", {"torch": TORCH}, id="it was set"),
    ],
)
def test_it_is_not_too_late(
    environ: dict[str, str], wanted: str, modules: dict[str, types.ModuleType]
):
    assert fallback.too_late(wanted, environ, modules) is None


def test_too_late_names_who_imported_torch_and_what_to_do():
    modules = _table(_module("conftest", "/project/conftest.py", torch=TORCH), TORCH)
    assert fallback.too_late("allow", {}, modules) == (
        "--mps-fallback=allow: torch was imported by conftest (/project/conftest.py) while "
        "PYTORCH_ENABLE_MPS_FALLBACK said error, and torch reads it only once.\n"
        "  remedy: PYTORCH_ENABLE_MPS_FALLBACK=1 pytest ..., "
        "or import torch later, or accept --mps-fallback=error"
    )


def test_too_late_to_forbid_it_says_to_set_zero():
    text = fallback.too_late("error", {FALLBACK_VARIABLE: "1"}, _table(TORCH))
    assert text is not None
    assert "said allow" in text
    assert "remedy: PYTORCH_ENABLE_MPS_FALLBACK=0 pytest" in text


NN = _module("torch.nn")


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        pytest.param(
            [
                TORCH,
                _module("os"),
                _module("near", "/n.py", torch=TORCH),
                _module("far", torch=TORCH),
            ],
            "near (/n.py)",
            id="the nearest one after",
        ),
        pytest.param(
            [
                _module("far", torch=TORCH),
                _module("near", "/n.py", torch=TORCH),
                _module("os"),
                TORCH,
            ],
            "near (/n.py)",
            id="the nearest one before, whose body still runs",
        ),
        pytest.param(
            [_module("old", torch=TORCH), TORCH, _module("here", torch=TORCH)],
            "here",
            id="after comes first",
        ),
        pytest.param([_module("lib", t=TORCH), TORCH], "lib", id="under another name"),
        pytest.param([_module("lib", nn=NN), TORCH], "lib", id="only a part of it"),
        pytest.param(
            [_module("lib", t="torch"), TORCH], "a module that is no longer loaded", id="a text"
        ),
        pytest.param(
            [_module("torch.early", t=TORCH), TORCH],
            "a module that is no longer loaded",
            id="itself",
        ),
        pytest.param(
            [_module("lib", t=_module("torchvision")), TORCH],
            "a module that is no longer loaded",
            id="another",
        ),
        pytest.param([TORCH], "a module that is no longer loaded", id="nobody"),
    ],
)
def test_the_importer_is_the_nearest_module_that_holds_it(
    modules: list[types.ModuleType], expected: str
):
    assert fallback.importer_of("torch", _table(*modules)) == expected


def test_strange_objects_among_the_modules_are_passed_over():
    class Slotted:
        __slots__ = ()

    modules = {"lib": _module("lib", torch=TORCH), "odd": Slotted(), "none": None, "torch": TORCH}
    assert fallback.importer_of("torch", modules) == "lib"  # type: ignore[arg-type]


def test_the_importer_is_found_in_real_imports_that_have_ended_or_still_run(tmp_path: Path):
    (tmp_path / "imported.py").write_text("")
    (tmp_path / "second.py").write_text("import imported\n")
    (tmp_path / "first.py").write_text("import os\nimport imported as short\n")
    (tmp_path / "running.py").write_text(
        "import imported\nfrom pytest_applesilicon.fallback import importer_of\n"
        "print(importer_of('imported'))\n"
    )
    ended = (
        "import first, second, pytest_applesilicon.fallback as f; print(f.importer_of('imported'))"
    )
    assert _python(ended, tmp_path) == f"first ({tmp_path / 'first.py'})"
    assert _python("import running", tmp_path) == f"running ({tmp_path / 'running.py'})"


# Watching


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """As much of torch as ``watch`` uses."""
    fake = types.SimpleNamespace(always=False)
    fake.is_warn_always_enabled = lambda: fake.always
    fake.set_warn_always = lambda on: setattr(fake, "always", on)
    monkeypatch.setitem(sys.modules, "torch", fake)
    return fake


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.parametrize("operator", ["aten::linalg_svd.U", "aten::col2im", "torchvision::nms"])
def test_the_operator_is_read_from_the_warning(operator: str, no_torch: None):
    with warnings.catch_warnings(record=True), fallback.watch() as seen:
        warnings.warn(_warning(operator), UserWarning, stacklevel=1)
    assert list(seen) == [operator]


def test_the_place_torch_adds_to_a_warning_does_not_matter(no_torch: None):
    text = _warning("aten::x") + " (Triggered internally at MPSFallback.mm:15.)"
    with warnings.catch_warnings(record=True), fallback.watch() as seen:
        warnings.warn(text, stacklevel=1)
    assert list(seen) == ["aten::x"]


def test_every_operator_is_collected_once_in_the_order_of_the_calls(no_torch: None):
    with warnings.catch_warnings(record=True), fallback.watch() as seen:
        for operator in ("aten::b", "aten::a", "aten::b"):
            warnings.warn(_warning(operator), stacklevel=1)
    assert list(seen) == ["aten::b", "aten::a"]


def test_the_warnings_reach_whoever_listens_outside(no_torch: None):
    with warnings.catch_warnings(record=True) as outside:
        warnings.simplefilter("always")
        with fallback.watch():
            warnings.warn(_warning("aten::a"), stacklevel=1)
            warnings.warn("something else", DeprecationWarning, stacklevel=1)
    assert [str(one.message) for one in outside] == [_warning("aten::a"), "something else"]
    assert outside[0].filename == __file__


def test_a_listener_inside_does_not_have_to_know(no_torch: None):
    with (
        warnings.catch_warnings(record=True),
        fallback.watch(),
        pytest.warns(UserWarning, match="aten::a") as inside,
    ):
        warnings.warn(_warning("aten::a"), stacklevel=1)
    assert [str(one.message) for one in inside] == [_warning("aten::a")]


@pytest.mark.parametrize(
    "text",
    [
        "something else",
        "The operator 'aten::a' is not currently implemented for the MPS device.",
        "note: " + _warning("aten::a"),
    ],
)
def test_other_warnings_are_not_collected(text: str, no_torch: None):
    with warnings.catch_warnings(record=True) as outside, fallback.watch() as seen:
        warnings.simplefilter("always")
        warnings.warn(text, stacklevel=1)
    assert seen == {}
    assert [str(one.message) for one in outside] == [text]


def test_a_filter_outside_that_makes_errors_does_not_hide_the_operator(no_torch: None):
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("error")
        with fallback.watch() as seen:
            warnings.warn(_warning("aten::a"), stacklevel=1)
            with pytest.raises(DeprecationWarning, match="something else"):
                warnings.warn("something else", DeprecationWarning, stacklevel=1)
    assert list(seen) == ["aten::a"]


def test_a_filter_outside_that_ignores_does_not_hide_the_operator(no_torch: None):
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        with fallback.watch() as seen:
            warnings.warn(_warning("aten::a"), stacklevel=1)
    assert list(seen) == ["aten::a"]


def test_watching_works_again_and_again_for_the_same_line(no_torch: None):
    found = []
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("once")
        for _ in range(3):
            with fallback.watch() as seen:
                warnings.warn(_warning("aten::a"), stacklevel=1)
            found.append(list(seen))
    assert found == [["aten::a"]] * 3


def test_nothing_is_collected_when_the_block_has_ended(no_torch: None):
    show, filters = warnings.showwarning, list(warnings.filters)
    with warnings.catch_warnings(record=True) as outside:
        warnings.simplefilter("always")
        with fallback.watch() as seen:
            pass
        warnings.warn(_warning("aten::a"), stacklevel=1)
    assert seen == {}
    assert len(outside) == 1
    assert warnings.showwarning is show
    assert list(warnings.filters) == filters


@pytest.mark.parametrize("before", [False, True])
def test_torch_is_told_to_warn_always_and_then_as_before(
    before: bool, torch: types.SimpleNamespace
):
    torch.always = before
    with fallback.watch():
        during = torch.always
    assert during is True
    assert torch.always is before


def test_torch_warns_as_before_also_when_the_block_fails(torch: types.SimpleNamespace):
    with pytest.raises(KeyError), fallback.watch():
        raise KeyError
    assert torch.always is False
