"""The parameters of the tests, as --size and --ops choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import opinfo, settings_of
from pytest_applesilicon.agreement import forms
from pytest_applesilicon.agreement.directions import dtypes_of
from pytest_applesilicon.agreement.layouts import LAYOUTS
from pytest_applesilicon.agreement.shapes import SHAPES

from .share import COMPUTE, TAKE_INPUT, operators_of, share

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_applesilicon.fixtures import AppleSilicon
    from pytest_applesilicon.options import Settings


def form_cases(settings: Settings, found: Sequence[str], direction: str) -> list[Any]:
    """Each operator that has the direction and is not left out, in each form."""
    names = [
        operator.name
        for operator in operators_of(TAKE_INPUT, settings)
        if operator.name not in forms.LEFT_OUT
        and forms.DTYPE in dtypes_of(operator, direction)
        and operator.kind != "random"
    ]
    return [
        pytest.param(form, name, id=f"{form}-{name}")
        for form in found
        # torch writes into no expanded tensor.
        if (direction, form) != ("inplace", "expanded")
        for name in names
    ]


def repeated_cases(settings: Settings) -> list[Any]:
    return [operator.name for operator in operators_of(COMPUTE, settings)]


def edge_cases(settings: Settings) -> list[Any]:
    return [
        pytest.param(dtype, operator.name, id=f"{dtype}-{operator.name}")
        for dtype in ("float32", "float16", "int64")
        for operator in operators_of(("pointwise",), settings)
        if dtype in operator.dtypes and operator.kind not in ("random", "metadata")
    ]


def module_cases(settings: Settings) -> list[Any]:
    return [module.name for module in share(opinfo.modules(), settings)]


def optimizer_cases(settings: Settings) -> list[Any]:
    return [
        pytest.param(record.name, number, id=f"{record.name}-{number}")
        for record in opinfo.optimizers()
        for number in share(range(len(record.configurations)), settings)
    ]


#: What the argument names of a test are parametrised with.
CASES = {
    ("repeated_operator",): repeated_cases,
    ("edge_dtype", "edge_operator"): edge_cases,
    ("module_name",): module_cases,
    ("optimizer", "configuration"): optimizer_cases,
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add to each failure a program of three lines that runs the one test again."""
    report = yield
    asking = getattr(item, "funcargs", {}).get("applesilicon")
    if report.failed and asking is not None:
        report.sections.append(("reproduce", reproduction(item, asking)))
    return report


def reproduction(item: pytest.Item, asking: AppleSilicon) -> str:
    """The program. At full size there is every test, and each has the samples of the other."""
    test = f"pytest_applesilicon.suites.agreement.{item.path.stem}::{item.name}"
    options = [f"--device={asking.spec}", f"--seed={asking.settings.seed}", "--size=full"]
    return (
        "import pytest\n"
        f'test = "{test}"\n'
        f'raise SystemExit(pytest.main(["--pyargs", test, *{options!r}]))\n'
    )


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise last, so that the device comes first in the ids."""
    direction = metafunc.function.__name__.partition("_")[2].partition("_")[2] or "forward"
    for name, found in (("layout", LAYOUTS), ("shape", SHAPES)):
        if {name, "operator"} <= set(metafunc.fixturenames):
            cases_of_forms = form_cases(settings_of(metafunc.config), found, direction)
            metafunc.parametrize((name, "operator"), cases_of_forms)
    for names, cases in CASES.items():
        if set(names) <= set(metafunc.fixturenames):
            metafunc.parametrize(
                names if len(names) > 1 else names[0], cases(settings_of(metafunc.config))
            )
