"""Checks of torch: can this build use MPS here, and does every setting do what it says?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import Version

from pytest_applesilicon.doctor import tables
from pytest_applesilicon.doctor.check import Check, fine, problem, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_applesilicon.doctor.check import Result
    from pytest_applesilicon.doctor.facts import Facts

#: The last release with macOS x86_64 wheels (pip finds none for 2.3.0; pytorch#114602).
_LAST_X86_64 = "2.2.2"

#: Names that ``torch.backends.mps`` has in 2.13; another one is set without any effect.
_MPS_NAMES = frozenset(
    {
        "get_core_count",
        "get_name",
        "is_available",
        "is_built",
        "is_macos13_or_newer",
        "is_macos_or_newer",
    }
)
_SET = re.compile(r"torch\.backends\.mps\.(\w+)\s*=(?!=)")

_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"
_HIGH, _LOW = "PYTORCH_MPS_HIGH_WATERMARK_RATIO", "PYTORCH_MPS_LOW_WATERMARK_RATIO"

#: Defaults and upper bound of the watermarks with unified memory (torch docs; MPSAllocator.h).
_DEFAULT_HIGH, _DEFAULT_LOW, _MOST_HIGH = 1.7, 1.4, 2.0


def _row(installed: Version) -> Mapping[str, str] | None:
    for row in tables.rows("torch_macos"):
        if Version(row["from"]) <= Version(installed.base_version) < Version(row["below"]):
            return row
    return None


def too_old(facts: Facts) -> bool:
    """Whether this macOS is older than the MPS backend of the installed torch needs."""
    installed, macos = facts.version("torch"), facts.macos
    row = _row(installed) if installed else None
    return bool(row and macos and macos < Version(row["min_macos"]))


def _macos(facts: Facts) -> Result:
    installed, macos = facts.version("torch"), facts.macos
    row = _row(installed) if installed else None
    if installed is None or macos is None or row is None:
        return unknown(f"the least macOS for torch {installed} is not in the table")
    if not too_old(facts):
        return fine(f"torch {installed} needs macOS {row['min_macos']}, this is {macos}")
    older = [one for one in tables.rows("torch_macos") if Version(one["min_macos"]) <= macos]
    remedy = "update macOS"
    if older:
        remedy += f", or: pip install 'torch<{older[-1]['below']}'"
    return problem(
        f"MPS in torch {installed} needs macOS {row['min_macos']}, and this is {macos}", remedy
    )


def _wheels(facts: Facts) -> Result:
    installed = facts.version("torch")
    if facts.host.interpreter != "x86_64" or facts.host.translated:
        return fine("torch still has wheels for this architecture")
    return problem(
        f"torch {installed} on an Intel Mac: {_LAST_X86_64} is the last release with x86_64 wheels",
        "use a Mac with Apple silicon, or Linux; to stay here: "
        f"pip install 'torch=={_LAST_X86_64}' 'numpy<2'",
    )


def _built(facts: Facts) -> Result:
    built = facts.torch.get("built")
    if built is None:
        return unknown(facts.torch.get("reason") or "torch was not asked")
    if built != "True":
        return problem(
            f"torch {facts.versions['torch']} was built without MPS",
            "pip install --force-reinstall --no-cache-dir torch",
        )
    return fine("torch was built with MPS")


def _available(facts: Facts) -> Result:
    if facts.torch.get("built") != "True" or too_old(facts) or facts.host.translated:
        return fine("reported by another check") if facts.torch else unknown("torch was not asked")
    if facts.torch.get("available") != "True":
        # The message of torch names the macOS, whatever hides the device (pytorch#177819).
        return problem(
            "torch finds no Metal device, though macOS is new enough: the process runs in a "
            "sandbox, or in a session without the GPU",
            "start it from a terminal of the logged-in user, outside the sandbox; then: "
            "system_profiler SPDisplaysDataType",
        )
    return fine("torch finds the Metal device")


def _health(facts: Facts) -> Result:
    from pytest_applesilicon.doctor.runner import image_row, is_virtual

    state, reason = facts.torch.get("state"), facts.torch.get("reason", "")
    if facts.torch.get("available") != "True" or state is None:
        return unknown("there is no MPS device to ask")
    if state != "ok" and (is_virtual(facts) or image_row(facts)):
        return fine("reported by the checks of the runner")
    if state != "ok":
        return problem(f"MPS is {state}: {reason}", facts.torch.get("remedy") or "restart the Mac")
    return fine(f"MPS {reason or 'allocates, computes and synchronises'}")


def _import(facts: Facts) -> Result:
    text = facts.text("import torch").strip()
    if not text:
        return fine("torch can be imported, or was not asked")
    if re.search(r"incompatible architecture", text):
        return fine("reported by packages.architectures")
    return problem(
        f"import torch fails: {text.splitlines()[-1][:160]}",
        f"pip install --force-reinstall --no-cache-dir torch=={facts.versions['torch']}",
    )


def _fallback(facts: Facts) -> Result:
    value = facts.environment.get(_FALLBACK)
    if value is None:
        return fine(f"{_FALLBACK} is not set: a missing operator is an error")
    if value not in ("0", "1"):
        return problem(
            f"{_FALLBACK}={value!r}: torch reads it as a number, and stops or ignores it",
            f"export {_FALLBACK}=1",
        )
    return fine(f"{_FALLBACK}={value}")


def _late(facts: Facts) -> Result:
    for line in facts.sources:
        name = re.search(r"\b(PYTORCH_\w*MPS\w*)\b", line.text)
        if name and line.torch_imported is not None:
            return problem(
                f"{line.file}:{line.line} sets {name[1]} after line {line.torch_imported} imports "
                "torch: it has no effect",
                f"move it above the import, or: export {name[1]}=...",
            )
    return fine("no variable is set after torch was imported")


def _dead(facts: Facts) -> Result:
    for line in facts.sources:
        match = _SET.search(line.text)
        if match and match[1] not in _MPS_NAMES:
            remedy = (
                f"delete the line, and: export {_FALLBACK}=1"
                if "fallback" in match[1]
                else "delete the line; for faster float32 products there is no such setting on MPS"
                if "tf32" in match[1]
                else "delete the line"
            )
            return problem(
                f"{line.file}:{line.line} sets torch.backends.mps.{match[1]}, which does not exist:"
                " it has no effect",
                remedy,
            )
    return fine("no setting of torch.backends.mps that does not exist")


def _variables(facts: Facts) -> Result:
    import difflib

    known = [row["name"] for row in tables.rows("variables")]
    for name in facts.environment:
        if name.startswith("PYTORCH_") and "MPS" in name and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            remedy = f"unset {name}"
            if close:
                remedy += f"; export {close[0]}={facts.environment[name]}"
            return problem(f"{name} is no variable that torch reads", remedy)
    if facts.environment.get("PYTORCH_MPS_FAST_MATH") == "1":
        return problem(
            "PYTORCH_MPS_FAST_MATH=1: NaN, infinities and the sign of zero are not kept",
            "unset PYTORCH_MPS_FAST_MATH",
        )
    return fine("no variable of torch that changes results or does not exist")


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return float("nan")


def _watermarks(facts: Facts) -> Result:
    given = {name: facts.environment.get(name) for name in (_HIGH, _LOW)}
    high, low = _number(given[_HIGH]), _number(given[_LOW])
    for name, value in ((_HIGH, high), (_LOW, low)):
        if value is not None and not 0 <= value <= _MOST_HIGH:
            return problem(
                f"{name}={given[name]!r}: torch accepts 0 to {_MOST_HIGH}", f"unset {name}"
            )
    if high == 0:
        return problem(
            f"{_HIGH}=0.0 switches the memory limit off: the whole system may fail, and a "
            "virtual GPU allocates no more for it",
            f"unset {_HIGH}",
        )
    upper = _DEFAULT_HIGH if high is None else high
    lower = _DEFAULT_LOW if low is None else low
    if lower > upper:
        # RuntimeError: invalid low watermark ratio 1.4 (kohya-ss/sd-scripts#603).
        return problem(
            f"the low watermark {lower} is above the high one {upper}: torch stops at the first "
            "allocation",
            f"export {_LOW}={upper}" if low is None else f"export {_LOW}={min(upper, 1.4)}",
        )
    return fine(f"memory limits: high {upper}, low {lower}")


CHECKS = (
    Check(
        "torch.macos",
        "macOS is new enough for MPS in this torch",
        ("Apple silicon", "torch"),
        "fail",
        "https://github.com/pytorch/pytorch/issues/164943",
        _macos,
    ),
    Check(
        "torch.wheels",
        "torch still has wheels for this machine",
        ("macOS", "torch"),
        "warn",
        "https://github.com/pytorch/pytorch/issues/114602",
        _wheels,
    ),
    Check(
        "torch.import",
        "torch can be imported",
        ("macOS", "torch"),
        "fail",
        "https://github.com/pytorch/pytorch/issues",
        _import,
    ),
    Check(
        "torch.built",
        "torch was built with MPS",
        ("Apple silicon", "torch"),
        "fail",
        "https://docs.pytorch.org/docs/stable/notes/mps.html",
        _built,
    ),
    Check(
        "torch.available",
        "torch finds the Metal device",
        ("Apple silicon", "torch"),
        "fail",
        "https://github.com/pytorch/pytorch/issues/177819",
        _available,
    ),
    Check(
        "torch.health",
        "MPS allocates, computes and synchronises",
        ("Apple silicon", "torch"),
        "fail",
        "https://github.com/pytorch/pytorch/issues/192934",
        _health,
    ),
    Check(
        "torch.fallback-variable",
        "the fallback variable is 0 or 1",
        (),
        "fail",
        "https://docs.pytorch.org/docs/stable/mps_environment_variables.html",
        _fallback,
    ),
    Check(
        "torch.variables",
        "every MPS variable is one that torch reads",
        (),
        "warn",
        "https://docs.pytorch.org/docs/stable/mps_environment_variables.html",
        _variables,
    ),
    Check(
        "torch.watermarks",
        "the memory watermarks fit each other",
        (),
        "fail",
        "https://github.com/kohya-ss/sd-scripts/issues/603",
        _watermarks,
    ),
    Check(
        "torch.late-variable",
        "no code sets a variable after importing torch",
        (),
        "warn",
        "https://github.com/pytorch/pytorch/issues/92821",
        _late,
    ),
    Check(
        "torch.dead-setting",
        "no code sets what torch.backends.mps does not have",
        (),
        "warn",
        "https://docs.pytorch.org/docs/stable/backends.html",
        _dead,
    ),
)
