"""What a probe found of a device, in a child process with a time limit.

A device may be listed and still be of no use: hosted Macs report an MPS device whose first
allocation fails (actions/runner-images#9918), hangs, or computes wrong numbers
(pytorch#192934). So the probe allocates, computes and synchronises, and because any of that
may abort or hang the process, it does so in a child. A crash or a hang is a result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import frameworks
from pytest_applesilicon.frameworks.base import DeviceAbsentError, DeviceMiscomputesError
from pytest_applesilicon.frameworks.pytorch import SIMULATED
from pytest_applesilicon.frameworks.tensorflow import installed_versions
from pytest_applesilicon.frameworks.tensorflow_failures import explain
from pytest_applesilicon.records import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_applesilicon.records import Host

#: Seconds. The first import of a framework on a cold disk took 32 s on one Mac; a healthy
#: probe then takes a second.
TIME_LIMIT_S = 120.0

#: Frameworks whose import may fail or crash, whatever the device.
_PROBED_ON_THE_CPU = frozenset({"tensorflow"})

#: Marks the probe's own lines, because a framework may print on import.
_MARK = "applesilicon-probe "

#: Run as ``python -c``: the folder pytest was started in may hold a ``torch.py`` of its own.
_CHILD = (
    "import sys; sys.path[:] = [p for p in sys.path if p] + {extra!r}; "
    "from pytest_applesilicon.health import child; child({framework!r}, {spec!r})"
)


@dataclass(frozen=True)
class ChildResult:
    """How the child process ended. ``returncode`` is ``None`` when it ran out of time."""

    returncode: int | None
    stdout: str
    stderr: str


def probe(
    framework: str,
    spec: str,
    host: Host,
    *,
    run_child: Callable[[str, str], ChildResult] | None = None,
) -> Health:
    """The health of a device for a framework on this host.

    The CPU is not probed: it is the reference, and if it computes wrongly so does the probe. Of
    TensorFlow it is: a plugin or a NumPy that does not fit keeps it from being imported at all,
    and may end the process.
    """
    if not frameworks.is_installed(framework):
        extra = f"pip install 'pytest-applesilicon[{framework}]'"
        return Health(spec, framework, "absent", f"{framework} is not installed", extra)
    plain = frameworks.load(framework).absent(spec, host)
    if plain is not None:
        return Health(spec, framework, "absent", *plain, simulated=spec == SIMULATED)
    if spec == "cpu" and framework not in _PROBED_ON_THE_CPU:
        return Health(spec, framework, "ok", "the CPU of this host")
    simulated = spec == SIMULATED
    run = run_child or (_run_here if simulated else _run_child)
    return dataclasses.replace(
        judge(framework, spec, host, run(framework, spec)), simulated=simulated
    )


def _run_here(framework: str, spec: str) -> ChildResult:
    """The probe in this process, which needs the simulated device anyway.

    It has no driver to hang in, and its faults are on while tests run only. A child would import
    torch a second time, as long as all the rest of a short run.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        child(framework, spec)
    return ChildResult(0, said.getvalue(), "")


def _run_child(framework: str, spec: str) -> ChildResult:
    extra = [path for path in sys.path if path]
    command = [sys.executable, "-c", _CHILD.format(extra=extra, framework=framework, spec=spec)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        return ChildResult(None, _text(expired.stdout), _text(expired.stderr))
    return ChildResult(done.returncode, done.stdout, done.stderr)


def _text(output: bytes | str | None) -> str:
    # The outputs of an expired process are bytes even in text mode (python/cpython#87597).
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def child(framework: str, spec: str) -> None:
    """The body of the child process: take each step, then say how it ended."""
    step = ""
    try:
        for step in frameworks.load(framework).probe(spec):
            _say(step=step)
    except DeviceAbsentError as absent:
        _say(state="absent", reason=str(absent), remedy=absent.remedy)
    except DeviceMiscomputesError as wrong:
        _say(state="miscomputes", reason=str(wrong))
    except Exception as error:  # whatever a framework raises makes the device unusable
        _say(state="unusable", reason=f"{step}: {type(error).__name__}: {error}")
    else:
        _say(state="ok", reason="allocates, computes and synchronises")


def _say(**fields: str) -> None:
    sys.stdout.write("\n" + _MARK + json.dumps(fields) + "\n")
    sys.stdout.flush()


def judge(framework: str, spec: str, host: Host, result: ChildResult) -> Health:
    """The health that follows from how the child ended."""
    said = _said(result.stdout)
    step = next((line["step"] for line in reversed(said) if "step" in line), "start")
    final = next((line for line in reversed(said) if "state" in line), None)
    if result.returncode is None:
        state, reason = "unusable", f"hung for {TIME_LIMIT_S:.0f} s at: {step}"
    elif result.returncode < 0:
        name = _signal_name(-result.returncode)
        state, reason = "unusable", f"crashed with {name} at: {step}; {_last_line(result.stderr)}"
    elif final is None or result.returncode != 0:
        reason = (
            f"ended with exit status {result.returncode} at: {step}; {_last_line(result.stderr)}"
        )
        state = "unusable"
    else:
        state, reason = final["state"], final["reason"]
    if state not in ("ok", "unusable", "miscomputes", "absent"):
        state = "unusable"
    remedy = (final or {}).get("remedy", "")
    if framework == "tensorflow" and state != "ok" and not remedy:
        remedy = _tensorflow_remedy(f"{reason}\n{result.stderr}", host)
    remedy = remedy or remedy_for(state, reason, host)
    return Health(spec, framework, state, reason, remedy)  # type: ignore[arg-type]


def _tensorflow_remedy(text: str, host: Host) -> str:
    """What the table of failures says of this text; empty where it knows nothing."""
    known = explain(text, installed_versions(host))
    return f"{known.remedy} ({known.source})" if known else ""


def _said(stdout: str) -> list[dict[str, Any]]:
    lines = [line for line in stdout.splitlines() if line.startswith(_MARK)]
    said = (_parsed(line[len(_MARK) :]) for line in lines)
    return [line for line in said if isinstance(line, dict)]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a line that a crash cut off
        return None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it printed nothing"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


#: Text in the reason, whether the machine must be virtual, and what to do. First match wins.
_REMEDIES: Sequence[tuple[str, bool | None, str]] = (
    (
        "MPS backend out of memory",
        True,
        # actions/runner-images#9918 and #11899; raising the watermark does not help there.
        "this virtual GPU cannot allocate: on GitHub use runs-on: macos-15, or a physical Mac",
    ),
    (
        "MPS backend out of memory",
        None,
        "close programs that use the GPU, or see PYTORCH_MPS_HIGH_WATERMARK_RATIO",
    ),
    (
        "hung",
        None,
        "run the tests again; if it hangs again, restart the machine or use --device=cpu",
    ),
    ("ModuleNotFoundError", None, "reinstall the framework: a module of it is missing"),
    (
        "incompatible architecture",
        None,
        "reinstall the framework with the same architecture as this Python",
    ),
)


def remedy_for(state: str, reason: str, host: Host) -> str:
    """What to do about a device that is not ok; empty when it is."""
    if state == "ok":
        return ""
    for text, virtual, remedy in _REMEDIES:
        if text in reason and virtual in (None, host.virtual):
            return remedy
    if state == "miscomputes" and host.virtual:
        return "a virtual GPU computes differently: use a physical Mac, or runs-on: macos-15"
    if state == "miscomputes":
        return "update macOS and the framework, and report the operator to the framework"
    return "use --device=cpu, or see what the framework itself says of the device"
