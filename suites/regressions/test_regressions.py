"""Is a bug that people reported present on this device?"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from .case import Case, MissingOperator
from .registry import Regression, regressions

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")


def test_regression(
    regression: str, applesilicon: AppleSilicon, device: Any, request: pytest.FixtureRequest
) -> None:
    found, settings = regressions()[regression], applesilicon.settings
    require_memory(found, settings.regression_limit, applesilicon.host.memory_bytes)
    case = Case(
        device,
        seed=settings.seed,
        limit=settings.regression_limit,
        framework=applesilicon.framework,
        spec=applesilicon.spec,
    )
    problem = ""
    try:
        found.run(case)
    except MissingOperator as missing:
        pytest.skip(f"unsupported: {missing}")
    except AssertionError as error:
        problem = str(error)
    if problem:
        text = told(found, problem, reproduction(request.node.name, applesilicon))
        pytest.fail(text, pytrace=False)


def require_memory(found: Regression, limit: int, memory_bytes: int | None) -> None:
    """Skip where a test of size L takes more than three quarters of the memory there is."""
    if found.needs is None:
        return
    needs = found.needs(limit)
    if memory_bytes is None and needs > 2**30:
        pytest.skip(f"takes {needs / 2**30:.1f} GiB, and the memory of this host is not known")
    if memory_bytes is not None and needs > memory_bytes * 3 // 4:
        pytest.skip(
            f"takes {needs / 2**30:.1f} GiB; a host of {needs * 4 / 3 / 2**30:.0f} GiB is needed, "
            f"this one has {memory_bytes / 2**30:.1f} GiB"
        )


def reproduction(name: str, asking: AppleSilicon) -> str:
    """A program of three lines that runs the one test again."""
    settings = asking.settings
    test = f"pytest_applesilicon.suites.regressions.test_regressions::{name}"
    options = [f"--device={asking.spec}", f"--seed={settings.seed}"]
    options += [f"--regression-size={settings.regression_size}"]
    options += [f"--regression-limit={settings.regression_limit}"]
    if settings.faults:
        options.append("--faults=" + ",".join(fault.name for fault in settings.faults))
    return (
        "import pytest\n"
        f'test = "{test}"\n'
        f'raise SystemExit(pytest.main(["--pyargs", test, *{options!r}]))'
    )


def told(found: Regression, problem: str, program: str) -> str:
    """The text of a failure: the bug, what was found, how to see it again, and the code."""
    bug = found.bug
    others = f" (also {', '.join(bug.issues[1:])})" if len(bug.issues) > 1 else ""
    operator = f", here {found.operator}" if found.operator else ""
    return (
        f"{bug.name} is present: {problem}\n"
        f"bug: {bug.title}\n"
        f"issue: {bug.url}{others}\n"
        f"operator: {bug.operator}{operator}; when: {bug.trigger}; seen in: {bug.versions}\n"
        f"reproduce:\n{textwrap.indent(program, '    ')}\n"
        f"the check:\n{textwrap.indent(found.source.rstrip(), '    ')}"
    )
