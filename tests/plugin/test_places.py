"""Every test in each of several places: two interpreters, and two hosts of one machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_applesilicon import host as hosts

HERE = hosts.detect().interpreter
OTHER = "arm64" if HERE == "x86_64" else "x86_64"

TESTS = """
import sys, sysconfig
import msgspec._core

def test_compiled_package_is_of_this_environment():
    assert msgspec._core.__file__.startswith(sysconfig.get_paths()["platlib"])
    assert f"cpython-{sys.version_info[0]}{sys.version_info[1]}" in msgspec._core.__file__

def test_host(applesilicon):
    applesilicon.measure("minor version", sys.version_info[1])
    assert (applesilicon.host.interpreter == "HERE") == (sys.version_info[1] == MINOR)

def test_sum(benchmark):
    assert benchmark(lambda: sum(range(20000)))

def test_passes_in_one_of_them():
    assert sys.version_info[1] == MINOR
"""


def other_python() -> str | None:
    """A Python of another version than this one, on the path or beside this one."""
    beside = Path(sys.base_prefix).parent
    for minor in (12, 13, 11, 10):
        if minor == sys.version_info[1]:
            continue
        found = [*beside.glob(f"3.{minor}.*/bin/python3.{minor}")]
        on_path = shutil.which(f"python3.{minor}")
        for python in [*map(str, found), *([on_path] if on_path else [])]:
            done = subprocess.run([python, "-c", "import ssl, venv"], capture_output=True)
            if done.returncode == 0:
                return python
    return None


def environment(python: str, folder: Path) -> Path:
    """A virtual environment with the plugin; pip's answer is the reason to skip."""
    root = Path(__file__).parents[2]
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    own = folder / "bin" / "python"
    needs = ["pytest", "pytest-xdist", "pytest-benchmark", "msgspec", "packaging", "numpy"]
    for what in (
        ["setuptools>=77", *needs],
        ["--no-deps", "--no-build-isolation", "-e", str(root)],
    ):
        command = [sys.executable, "-m", "pip", "--python", own, "install", "-q", *what]
        done = subprocess.run(command, capture_output=True)
        if done.returncode:
            pytest.skip(f"pip cannot install into another Python: {done.stderr.decode()[-200:]}")
    return own


@pytest.fixture(scope="module")
def two_pythons(tmp_path_factory):
    """This version and another one, in which ``platform`` names the other architecture."""
    python = other_python()
    if python is None:
        pytest.skip("there is no Python of another version")
    folder = tmp_path_factory.mktemp("pythons")
    own, other = environment(sys.executable, folder / "own"), environment(python, folder / "other")
    site = next((folder / "other").glob("lib/python*/site-packages"))
    (site / "sitecustomize.py").write_text(
        f"import platform\nplatform.machine = lambda: {OTHER!r}\n"
    )
    return own, other


def start(python, folder, *args):
    """Run pytest of an interpreter in a folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env={**clean, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_two_interpreters_side_by_side(two_pythons, tmp_path):
    own, other = two_pythons
    tests = TESTS.replace("HERE", HERE).replace("MINOR", str(sys.version_info[1]))
    (tmp_path / "test_two.py").write_text(tests)

    done = start(
        own,
        tmp_path,
        "--arch=arm64,x86_64",
        f"--arch-python={OTHER}={other}",
        "--framework=numpy",
        "--applesilicon-report=report.json",
    )

    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    outcomes = {(one["place"], one["test_id"]): one["outcome"] for one in report["records"]}
    names = ("compiled_package_is_of_this_environment", "host", "sum")
    assert outcomes == {
        **{
            (place, f"test_two.py::test_{name}"): "passed"
            for place in (HERE, OTHER)
            for name in names
        },
        (HERE, "test_two.py::test_passes_in_one_of_them"): "passed",
        (OTHER, "test_two.py::test_passes_in_one_of_them"): "failed",
    }
    prefixes = {one["name"]: one["versions"]["prefix"] for one in report["places"]}
    assert prefixes == {HERE: str(own.parents[1]), OTHER: str(other.parents[1])}
    timings = [one["timing"] for one in report["records"] if one["test_id"].endswith("test_sum")]
    assert all(one["median_s"] > 0 for one in timings)
    row = next(
        line for line in done.stdout.splitlines() if line.startswith("test_two.py::test_sum")
    )
    seconds = {
        one["place"]: one["timing"]["median_s"] for one in report["records"] if one["timing"]
    }
    assert row.split()[-1] == f"{seconds['x86_64'] / seconds['arm64']:.2f}"


def test_each_worker_loads_its_own_binaries_only_because_popen_is_cleared(two_pythons, tmp_path):
    """The run above is right because of this: with xdist's own way the import fails."""
    own, other = two_pythons
    (tmp_path / "test_one.py").write_text(TESTS.partition("def test_host")[0])
    spec = f"popen//python={other}//id={OTHER}"

    # Without an option of ours pytest-xdist alone decides.
    done = start(own, tmp_path, "--dist=each", f"--tx={spec}", "--max-worker-restart=0")

    assert done.returncode != 0
    assert "passed" not in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--arch=arm64,x86_64"], "--arch=arm64,x86_64: no {other} Python was found"),
        (
            ["--arch=arm64,x86_64", "--arch-python={other}=/no/python"],
            "--arch=arm64,x86_64: /no/python does not start: No such file or directory",
        ),
        (
            ["--arch=arm64,x86_64", f"--arch-python={{other}}={sys.executable}"],
            f"--arch=arm64,x86_64: {sys.executable} runs as *, not as {{other}}",
        ),
        (["--arch=arm64,x86_64", "-n", "2"], "--arch=arm64,x86_64 starts a worker for each *"),
        (["--arch=arm64,ppc"], "--arch: 'arm64,ppc' is not accepted; give one of: any, native,*"),
        (["--arch-python=ppc=/x"], "--arch-python: 'ppc=/x' is not accepted; give arm64=PATH *"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac may have both architectures")
def test_what_cannot_be_had_ends_with_status_4(pytester, run, args, message):
    pytester.makepyfile("def test_one(): pass\n")

    result = run(*(arg.format(other=OTHER) for arg in args))

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {message.format(other=OTHER)}"])
    assert "Traceback" not in str(result.stderr)


def test_plugin_that_is_missing_there_is_named_with_the_command(pytester, run, tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    site = next(bare.glob("lib/python*/site-packages"))
    (site / "sitecustomize.py").write_text(
        f"import platform\nplatform.machine = lambda: {OTHER!r}\n"
    )
    pytester.makepyfile("def test_one(): pass\n")

    result = run("--arch=arm64,x86_64", f"--arch-python={OTHER}={bare}/bin/python")

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            f"ERROR: *pytest-applesilicon is not installed for {bare}/bin/python",
            f"  remedy: {bare}/bin/python -m pip install 'pytest-applesilicon==*'",
        ]
    )


# two hosts

HOST_TESTS = """
import pathlib, time
import pytest

@pytest.mark.parametrize("number", range(6))
def test_number(applesilicon, number):
    if pathlib.Path.cwd().name == "mac-b" and number == 3:
        pathlib.Path("reached").write_text("")
        time.sleep(100)
    applesilicon.measure("number", number)
"""

#: Without it a server refuses to run as root.
PRIVILEGE_FOLDER = Path("/run/sshd")


class Farm:
    """Two SSH servers on the loopback address, standing in for two hosts."""

    def __init__(self, folder: Path, sshd: str) -> None:
        self.folder = folder
        for name in ("key", "hostkey"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        (folder / "sshd.conf").write_text(
            f"HostKey {folder}/hostkey\nAuthorizedKeysFile {folder}/key.pub\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nPidFile none\nListenAddress 127.0.0.1\n"
        )
        shared = (
            f"Host *\n  IdentityFile {folder}/key\n  StrictHostKeyChecking no\n"
            "  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  ConnectTimeout 5\n"
        )
        lines = [shared]
        self.servers = {}
        for name in ("mac-a", "mac-b"):
            port = free_port()
            self.servers[name] = subprocess.Popen(
                [sshd, "-D", "-f", str(folder / "sshd.conf"), "-p", str(port)],
                stderr=subprocess.DEVNULL,
            )
            lines.append(f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n")
            (folder / name).mkdir()
            (folder / name / "test_hosts.py").write_text(HOST_TESTS)
            (folder / name / "pytest.ini").write_text("[pytest]\n")
            wait_for(port)
        self.config = folder / "ssh.conf"
        self.config.write_text("".join(lines))

    def tx(self, name: str) -> str:
        return (
            f"--tx=ssh=-F {self.config} {name}//python={sys.executable}//id={name}"
            f"//chdir={self.folder / name}"
        )

    def stop(self, name: str) -> None:
        """End a server with every connection it serves, as a machine that loses its power."""
        import psutil

        server = psutil.Process(self.servers[name].pid)
        for one in [*server.children(recursive=True), server]:
            one.send_signal(signal.SIGKILL)
        self.servers[name].wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"no SSH server on port {port}")


@pytest.fixture
def farm(tmp_path):
    sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        pytest.skip("sshd is not installed")
    pytest.importorskip("psutil")
    if os.getuid() == 0:
        PRIVILEGE_FOLDER.mkdir(exist_ok=True)
    started = Farm(tmp_path, sshd)
    yield started
    for server in started.servers.values():
        if server.poll() is None:
            server.kill()
            server.wait()


OPTIONS = (
    "-p",
    "no:playwright",
    "--dist=each",
    "--framework=numpy",
    "--applesilicon-report=r.json",
)


def test_host_that_drops_out_loses_only_its_own_results(farm, tmp_path):
    def stop_once_reached():
        while not (tmp_path / "mac-b" / "reached").exists():
            time.sleep(0.02)
        farm.stop("mac-b")

    threading.Thread(target=stop_once_reached, daemon=True).start()
    done = start(sys.executable, tmp_path, *OPTIONS, farm.tx("mac-a"), farm.tx("mac-b"))

    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    outcomes = {}
    for one in report["records"]:
        outcomes.setdefault(one["place"], []).append(one["outcome"])
    assert outcomes == {"mac-a": ["passed"] * 6, "mac-b": ["passed"] * 3 + ["crashed"]}
    places = {one["name"]: one for one in report["places"]}
    assert places["mac-a"]["lost"] == ""
    assert places["mac-a"]["host"]["system"] == hosts.detect().system
    assert places["mac-b"]["lost"] == "Not properly terminated"
    assert "mac-b dropped out (Not properly terminated); its 4 results are kept" in done.stdout
    assert "INTERNALERROR" not in done.stdout


def test_host_that_cannot_be_reached_ends_with_status_4(farm, tmp_path):
    farm.stop("mac-b")

    done = start(sys.executable, tmp_path, *OPTIONS, farm.tx("mac-a"), farm.tx("mac-b"))

    assert done.returncode == 4, done.stdout + done.stderr
    assert "ERROR: --tx: the host" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
