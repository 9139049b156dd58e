"""A run that uses nothing of the plugin pays nothing for it."""

from __future__ import annotations

import json
import sys

import pytest

#: Watches the whole run from a plugin loaded before ours: processes, files and imports.
WATCH = """
import json, pathlib, sys

package = {package!r}
events = {{"processes": [], "files": []}}

def audit(event, args):
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec"):
        events["processes"].append(str(args[0]))
    elif event == "open" and isinstance(args[0], str) and args[0].startswith(package):
        if not args[0].endswith((".py", ".pyc")):
            events["files"].append(args[0])

sys.addaudithook(audit)

def pytest_unconfigure():
    events["modules"] = sorted(sys.modules)
    pathlib.Path("events.json").write_text(json.dumps(events))
"""


@pytest.fixture
def idle_run(pytester: pytest.Pytester, run):
    import pytest_applesilicon

    package = str(pytest_applesilicon.__path__[0])
    pytester.makepyfile(
        watch=WATCH.format(package=package), test_trivial="def test_trivial():\n    assert True\n"
    )
    # pytest-benchmark starts processes of its own (git, hg).
    others = ["-p", "no:benchmark", "-p", "no:xdist", "-p", "no:hypothesispytest"]
    result = run("-p", "watch", *others)
    result.assert_outcomes(passed=1)
    return json.loads(pytester.path.joinpath("events.json").read_text())


def test_unused_plugin_starts_no_process(idle_run):
    assert idle_run["processes"] == []


def test_unused_plugin_reads_no_file_but_code(idle_run):
    assert idle_run["files"] == []


def test_unused_plugin_imports_no_framework_and_only_its_outermost_modules(idle_run):
    modules = set(idle_run["modules"])

    assert "pytest_applesilicon.plugin" in modules
    assert not modules & {"numpy", "torch", "tensorflow", "mlx", "jax", "msgspec", "scipy"}
    assert {name for name in modules if name.startswith("pytest_applesilicon")} == {
        "pytest_applesilicon",
        "pytest_applesilicon.dtypes",
        "pytest_applesilicon.fixtures",
        "pytest_applesilicon.option_table",
        "pytest_applesilicon.option_values",
        "pytest_applesilicon.options",
        "pytest_applesilicon.plugin",
        "pytest_applesilicon.short_options",
    }


def test_watching_would_notice_all_three(pytester, run):
    import pytest_applesilicon

    package = str(pytest_applesilicon.__path__[0])
    pytester.makepyfile(
        watch=WATCH.format(package=package),
        test_used="import subprocess, sys\n"
        "def test_used(mnist):\n"
        "    subprocess.run([sys.executable, '-c', 'pass'], check=True)\n",
    )

    run("-p", "watch", "-p", "no:benchmark").assert_outcomes(passed=1)

    events = json.loads(pytester.path.joinpath("events.json").read_text())
    assert set(events["processes"]) == {sys.executable}
    assert any(name.endswith(".npz") for name in events["files"])
    assert "numpy" in events["modules"]
