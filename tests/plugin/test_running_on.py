"""Set-up and body of a test compute on its device, also where a framework has a default one."""

from __future__ import annotations

import pytest

CONFTEST = """
import contextlib
import pytest
from pytest_applesilicon.frameworks.numpy import NumpyAdapter

inside = []

@contextlib.contextmanager
def running_on(self, spec):
    inside.append(spec)
    yield
    inside.pop()

NumpyAdapter.running_on = running_on

@pytest.fixture
def seen_in_setup(applesilicon_device):
    return list(inside)
"""


@pytest.mark.usefixtures("numpy_only")
def test_set_up_and_body_run_on_the_device_and_nothing_after_them(pytester, run):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        "from conftest import inside\n"
        "def test_one(device, seen_in_setup):\n"
        "    assert (seen_in_setup, inside) == (['cpu'], ['cpu'])\n"
        "def test_other():\n"
        "    assert inside == []\n"
        "def teardown_module():\n"
        "    assert inside == []\n"
    )

    result = run("--device=cpu")

    result.assert_outcomes(passed=2)


@pytest.mark.usefixtures("numpy_only")
def test_a_device_that_cannot_be_used_is_not_entered(pytester, run):
    pytester.makeconftest(CONFTEST.replace("inside.append(spec)", "raise RuntimeError(spec)"))
    pytester.makepyfile("def test_one(device): ...\n")

    result = run("--device=mps", "--device-missing=skip")

    result.assert_outcomes(skipped=1)
