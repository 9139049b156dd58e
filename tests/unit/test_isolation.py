"""A child process that answers, crashes or hangs; no pytest in it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from pytest_applesilicon import isolation
from pytest_applesilicon.isolation import Child, ChildEndedError

SERVE = """
import faulthandler, os, signal, sys, time
from pytest_applesilicon.isolation import Channel
faulthandler.enable()
faulthandler.register(signal.SIGUSR1, all_threads=True)
channel = Channel(requests, replies)
while (asked := channel.receive()) is not None:
    if "stop" in asked:
        break
    if "code" in asked:
        exec(asked["code"])
    channel.send({"done": True, "pid": os.getpid()})
"""


@pytest.fixture
def child(tmp_path):
    started = Child(SERVE, tmp_path, tmp_path)
    yield started
    started.kill()


def ask(child, code="", timeout_s=30.0):
    return list(child.ask({"code": code}, timeout_s))


def ending_of(child, code, timeout_s=30.0):
    with pytest.raises(ChildEndedError) as raised:
        ask(child, code, timeout_s)
    return raised.value.ending


def test_one_child_answers_many_requests(child):
    first = ask(child)[-1]["pid"]

    assert first != os.getpid()
    assert [ask(child)[-1]["pid"] for _ in range(20)] == [first] * 20


def test_replies_before_the_last_are_given_too(child):
    replies = ask(child, "channel.send({'n': 1}); channel.send({'n': 2})")

    assert [reply.get("n") for reply in replies] == [1, 2, None]


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGBUS", "SIGKILL"])
def test_signal_is_named(child, name):
    ending = ending_of(child, f"os.kill(os.getpid(), signal.{name})")

    assert ending.outcome == "crashed"
    assert ending.reason == name


def test_exit_is_a_crash_even_with_status_zero(child):
    assert ending_of(child, "os._exit(0)").reason == "exit status 0"


def test_last_lines_survive_an_abort(child):
    ending = ending_of(child, "print('told', flush=True); os.write(2, b'why\\n'); os.abort()")

    assert ending.reason == "SIGABRT: why"
    assert ending.lines[:3] == ("told", "why", "Fatal Python error: Aborted")


def test_only_what_came_since_the_request_is_told(child):
    ask(child, "os.write(2, b'earlier\\n')")

    assert ending_of(child, "os._exit(3)").lines == ()


def test_hang_is_killed_and_says_where(child):
    begun = time.monotonic()
    ending = ending_of(child, "def lost(): time.sleep(60)\nlost()", timeout_s=0.5)

    assert ending.outcome == "hung"
    assert ending.reason == "no end after 0.5 s"
    assert any("lost" in line for line in ending.lines)
    assert time.monotonic() - begun < 20


def test_processes_of_a_hung_child_are_killed_too(child, tmp_path):
    file = tmp_path / "grandchild"
    code = (
        "import subprocess\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(file)!r}, 'w').write(str(one.pid))\n"
        "time.sleep(60)"
    )
    ending_of(child, code, timeout_s=2)

    process = int(file.read_text())
    for _ in range(100):
        if not alive(process):
            break
        time.sleep(0.05)
    assert not alive(process)


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A zombie whose new parent has not waited for it is dead too.
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_death_is_seen_although_a_forked_process_holds_the_pipe(child):
    code = "if os.fork() == 0:\n    time.sleep(20); os._exit(0)\nos.kill(os.getpid(), 9)"
    begun = time.monotonic()

    assert ending_of(child, code).reason == "SIGKILL"
    assert time.monotonic() - begun < 10


def test_stop_lets_a_child_finish(child, tmp_path):
    file = tmp_path / "finished"
    ask(child, f"import atexit; atexit.register(open, {str(file)!r}, 'w')")

    child.stop()

    assert file.exists()


def test_child_that_is_at_work_is_killed(child, tmp_path):
    replies = child.ask({"code": "channel.send({'n': 1}); time.sleep(60)"}, 60)
    assert next(replies) == {"n": 1}
    begun = time.monotonic()

    child.stop()

    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "text",
    [
        # pytorch#134416, kornia#4204 and the texts MPS aborts with
        "-[MPSNDArrayDescriptor sliceDimension:withSubrange:]:101: failed assertion `x'",
        "/AppleInternal/Library/BuildRoots/a/MPSNDArray.mm:850: failed assertion `[MPSNDArray x'",
        "LLVM ERROR: Failed to infer result type(s).",
        "-[MTLDebugDevice newBufferWithLength:options:]:635: failed assertion `Buffer'",
    ],
)
def test_metal_assertion_is_known(text):
    assert isolation.metal_assertion(f"before\n{text}\nafter") == text
    assert isolation.crash_reason(-signal.SIGABRT, f"a\n{text}\nabort\n") == f"SIGABRT: {text}"


def test_other_assertions_are_not_metal_ones():
    assert isolation.metal_assertion("AssertionError: failed assertion in my test") is None


def test_numbers_of_numpy_cross(tmp_path):
    numpy = pytest.importorskip("numpy")
    reads, writes = os.pipe()
    channel = isolation.Channel(reads, writes)

    channel.send({"value": numpy.float32(0.5), "path": tmp_path})

    assert channel.receive() == {"value": 0.5, "path": str(tmp_path)}
    channel.close()
