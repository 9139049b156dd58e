"""A child process that does what it is asked, and whose crash or hang is an answer too.

Knows nothing of pytest. Parent and child talk in lines of JSON over two pipes of their own;
what the child prints goes to two files, so that the last lines survive an abort of its
interpreter, which runs no handler and flushes nothing. The child leads a process group, which
is ended as a whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: Process groups and inherited pipes are as POSIX has them; there is no MPS on Windows.
SUPPORTED = os.name == "posix"

#: Seconds between two looks at whether the child still lives: a process that it forked may
#: hold its pipe open, and then its death closes nothing.
_POLL_S = 0.2

#: Seconds that a hung child gets to write where its threads are.
_TRACE_S = 0.5

#: Seconds that a child gets to end its fixtures when no test is left.
_STOP_S = 60.0

#: Lines of output that a crash shows before and after Python's own "Fatal Python error".
_SHOWN_LINES = 12

#: What Metal, MPS and the compiler below it print before they abort the process: pytorch
#: #134416, #187988 and the texts collected by kornia#4204 ("failed assertion", "LLVM ERROR").
METAL_ASSERTION = re.compile(
    r"^.*(?:-\[(?:MTL|MPS|_MTL|AGX|IOGPU)\w*[ :].*failed assertion"
    r"|(?:Metal|MPS|MTL)\w*\b.*failed assertion"
    r"|^LLVM ERROR: ).*$",
    re.MULTILINE,
)


#: Frames of a stack that say nothing of the test.
_OF_PYTEST = re.compile(r'File ".*[/\\](?:_pytest|pluggy)[/\\]')


@dataclass(frozen=True)
class Ending:
    """How a child ended instead of answering."""

    outcome: Literal["crashed", "hung"]
    reason: str
    """One line: the signal or the time limit, and the text that says most."""
    lines: tuple[str, ...]
    """The last lines it printed."""


class ChildEndedError(Exception):
    """The child crashed, or hung and was ended."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class Channel:
    """One end of the conversation: lines of JSON, one object a line."""

    def __init__(self, reads: int, writes: int) -> None:
        self.reads = reads
        self._writes = writes
        self._buffer = b""

    def send(self, message: dict[str, Any]) -> None:
        """Write a message.

        Raises:
            BrokenPipeError: nobody is at the other end.
        """
        data = json.dumps(message, default=_plain).encode() + b"\n"
        while data:
            data = data[os.write(self._writes, data) :]

    def buffered(self) -> dict[str, Any] | None:
        """The next whole message among what was read so far."""
        line, end, rest = self._buffer.partition(b"\n")
        if not end:
            return None
        self._buffer = rest
        found: dict[str, Any] = json.loads(line)
        return found

    def read_more(self) -> bool:
        """Read what is there, waiting for something; ``False`` at the end of the stream."""
        data = os.read(self.reads, 1 << 16)
        self._buffer += data
        return bool(data)

    def receive(self) -> dict[str, Any] | None:
        """The next message, waiting for it; ``None`` when the other end is closed."""
        while (message := self.buffered()) is None:
            if not self.read_more():
                return None
        return message

    def close(self) -> None:
        """Close both pipes."""
        for descriptor in (self.reads, self._writes):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _plain(value: Any) -> Any:
    """A NumPy scalar as its number, a path as its text; anything else as Python shows it."""
    item = getattr(value, "item", None)
    if callable(item):
        return item()
    return os.fspath(value) if isinstance(value, os.PathLike) else repr(value)


@dataclass(frozen=True)
class Outputs:
    """The two files a child prints to, and what came since a mark."""

    stdout: Path
    stderr: Path

    @classmethod
    def within(cls, folder: Path) -> Outputs:
        """Two new files in ``folder``."""
        return cls(folder / "stdout", folder / "stderr")

    def mark(self) -> tuple[int, int]:
        """The sizes of now, in bytes."""
        return self.stdout.stat().st_size, self.stderr.stat().st_size

    def since(self, mark: tuple[int, int]) -> tuple[str, str]:
        """What was printed to standard output and standard error since ``mark``."""
        return _text_from(self.stdout, mark[0]), _text_from(self.stderr, mark[1])


def _text_from(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


class Child:
    """A child process, seen from its parent."""

    def __init__(self, body: str, folder: Path, working_directory: Path) -> None:
        """Start a Python that runs ``body``, with ``requests`` and ``replies`` as descriptors.

        Args:
            body: Python code; it may use the names ``requests`` and ``replies``.
            folder: where the output goes; it must exist and be empty.
            working_directory: of the child.
        """
        self.outputs = Outputs.within(folder)
        to_child, from_parent = os.pipe()
        to_parent, from_child = os.pipe()
        setup = f"import sys; sys.path[:] = {sys.path!r}; requests = {to_child}; "
        with self.outputs.stdout.open("ab") as out, self.outputs.stderr.open("ab") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"{setup}replies = {from_child}\n{body}"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=working_directory,
                pass_fds=(to_child, from_child),
                start_new_session=True,
            )
        os.close(to_child)
        os.close(from_child)
        self._channel = Channel(to_parent, from_parent)
        self._busy = False
        self._mark = (0, 0)

    def ask(self, request: dict[str, Any], timeout_s: float) -> Iterator[dict[str, Any]]:
        """Send a request and give the replies up to and including the one that says ``done``.

        Raises:
            ChildEndedError: the child crashed, or gave no ``done`` within ``timeout_s`` seconds
                and was killed with every process it started.
        """
        self._mark = self.outputs.mark()
        self._busy = True
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(BrokenPipeError):  # the loop below finds out how it ended
            self._channel.send(request)
        while True:
            reply = self._channel.buffered()
            if reply is None:
                self._wait(deadline, timeout_s)
            else:
                self._busy = "done" not in reply
                yield reply
                if not self._busy:
                    return

    def printed(self) -> tuple[str, str]:
        """What it printed since the last request."""
        return self.outputs.since(self._mark)

    def _wait(self, deadline: float, timeout_s: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChildEndedError(self._end_hung(timeout_s))
        ready, _, _ = select.select([self._channel.reads], [], [], min(left, _POLL_S))
        if ready:
            if self._channel.read_more():
                return
        elif self._process.poll() is None:
            return
        elif select.select([self._channel.reads], [], [], 0)[0] and self._channel.read_more():
            return  # its last words
        raise ChildEndedError(self._end_crashed())

    def _end_hung(self, timeout_s: float) -> Ending:
        # The child answers this signal with the stack of each thread, also from within a
        # call that never returns (faulthandler).
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGUSR1)
        time.sleep(_TRACE_S)
        self.kill()
        stdout, stderr = self.printed()
        return Ending("hung", f"no end after {timeout_s:g} s", last_lines(stdout, stderr))

    def _end_crashed(self) -> Ending:
        status = self._process.wait()
        self.kill()
        stdout, stderr = self.printed()
        return Ending("crashed", crash_reason(status, stderr), last_lines(stdout, stderr))

    def kill(self) -> None:
        """End the child and every process of its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._channel.close()

    def stop(self) -> None:
        """Let the child end by itself; kill it where it is at work or takes too long."""
        if self._process.returncode is not None:
            return
        if not self._busy:
            with contextlib.suppress(ChildEndedError):
                for _ in self.ask({"stop": True}, _STOP_S):
                    pass
        self.kill()


def crash_reason(status: int, stderr: str) -> str:
    """One line for a process that ended with ``status``: the signal, and the telling text."""
    ended = _signal_name(-status) if status < 0 else f"exit status {status}"
    found = METAL_ASSERTION.search(stderr)
    if found:
        return f"{ended}: {found[0].strip()}"
    before = [line for line in _before_python(stderr.splitlines()) if line.strip()]
    return f"{ended}: {before[-1].strip()}" if before else ended


def metal_assertion(stderr: str) -> str | None:
    """The line in which Metal says that an assertion failed, if there is one."""
    found = METAL_ASSERTION.search(stderr)
    return found[0].strip() if found else None


def last_lines(stdout: str, stderr: str) -> tuple[str, ...]:
    """The lines that tell most of an end: around Python's own words, and of standard output."""
    lines = stderr.splitlines()
    before = _before_python(lines)
    after = [line for line in lines[len(before) :] if not _OF_PYTEST.search(line)]
    told = [*before[-_SHOWN_LINES:], *after[:_SHOWN_LINES]]
    return (*stdout.splitlines()[-_SHOWN_LINES:], *told)


def _before_python(lines: Sequence[str]) -> list[str]:
    """What was printed before faulthandler wrote where the threads are."""
    for at, line in enumerate(lines):
        if line.startswith(("Fatal Python error:", "Current thread 0x", "Thread 0x")):
            return list(lines[:at])
    return list(lines)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
