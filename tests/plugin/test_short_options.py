"""The short spellings yield to whoever else wants them; the true names always work."""

from __future__ import annotations

import importlib.util

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

#: A conftest.py like kornia's: an option and fixture of its own, of the same name.
KORNIA = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--device", action="store", default="cpu")

@pytest.fixture
def device(request):
    return "theirs:" + request.config.getoption("--device")
"""


def test_conftest_that_declares_device_keeps_it_and_ours_has_its_true_name(pytester, run):
    pytester.makeconftest(KORNIA)
    pytester.makepyfile(
        "def test_own(device, request):\n    assert device == 'theirs:cuda'\n"
        "    assert request.getfixturevalue('applesilicon').spec == 'cpu'\n"
    )

    result = run("--device", "cuda", "--applesilicon-device=auto")

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["applesilicon: --device belongs to *conftest.py; ours is --applesilicon-device"]
    )


def test_conftest_that_declares_device_is_not_disturbed_where_nothing_of_ours_is_used(
    pytester, run
):
    pytester.makeconftest(KORNIA)
    pytester.makepyfile("def test_own(device):\n    assert device == 'theirs:cpu'\n")

    result = run()

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("order", ["before", "after"])
def test_plugin_that_declares_device_keeps_it(pytester, run, order):
    pytester.makepyfile(
        other_plugin="def pytest_addoption(parser):\n"
        "    group = parser.getgroup('other')\n"
        "    group.addoption('--device', choices=['phone', 'tablet'])\n",
        test_it="def test_own(request, applesilicon):\n"
        "    assert request.config.getoption('--device') == 'phone'\n",
    )
    plugins = ["-p", "other_plugin"]

    result = run(*(plugins if order == "before" else []), *plugins, "--device=phone")

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["applesilicon: --device belongs to other_plugin; ours is --applesilicon-device"]
    )


def test_every_short_spelling_that_somebody_has_is_named(pytester, run):
    pytester.makeconftest(
        "def pytest_addoption(parser):\n"
        "    for name in ('--seed', '--size'):\n"
        "        parser.addoption(name, type=int, default=1)\n"
    )
    pytester.makepyfile(
        "def test_own(request):\n    assert request.config.getoption('--seed') == 5\n"
    )

    result = run("--seed=5", "--device=auto")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["applesilicon: --size belongs to *conftest.py; ours*"])
    result.stdout.fnmatch_lines(["applesilicon: --seed belongs to *conftest.py; ours*"])


def test_short_spellings_work_with_workers(pytester, run):
    pytester.makepyfile("def test_one(device):\n    assert device == 'cpu'\n")

    result = run("--device", "cpu", "-n", "2")

    result.assert_outcomes(passed=1)


def test_short_spellings_are_in_the_help(run):
    result = run("--help")

    result.stdout.fnmatch_lines(["*--applesilicon-device=*", "*--device=*"])


@pytest.mark.skipif(
    importlib.util.find_spec("pytest_playwright") is None, reason="pytest-playwright not installed"
)
def test_pytest_playwright_keeps_its_device(pytester, run):
    pytester.makepyfile(
        "def test_own(request, applesilicon):\n"
        "    assert request.config.getoption('--device') == 'iPhone 13'\n"
        "    assert applesilicon.spec == 'cpu'\n"
    )

    result = run("--device=iPhone 13", "--applesilicon-device=auto", beside="playwright")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["applesilicon: --device belongs to *playwright*; ours is *"])
