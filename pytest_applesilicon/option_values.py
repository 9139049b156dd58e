"""Read the values of options: every refusal names the option, the value and what is accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon.option_table import ARCHITECTURES, DEVICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.simulate.faults import Fault

#: An option, ini key or marker has a value that is not accepted: pytest ends with status 4.
OptionError = pytest.UsageError


def parse_devices(text: str, origin: str) -> tuple[str, ...]:
    """Device specs from a comma list, each once, in the order given.

    Raises:
        OptionError: a spec is not known.
    """
    specs = [spec.strip() for spec in text.split(",")]
    for spec in specs:
        if spec not in DEVICES[:-1] and not re.fullmatch(r"cuda:[0-9]+", spec):
            raise refused(origin, spec, DEVICES, "a device or a comma list of devices")
    return tuple(dict.fromkeys(specs))


def parse_names(text: str, origin: str, choices: Sequence[str]) -> tuple[str, ...]:
    """The names of a comma list, each once; none where the text is empty."""
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if name not in choices:
            raise refused(origin, name, choices)
    return tuple(dict.fromkeys(names))


def parse_pythons(text: str, origin: str) -> tuple[tuple[str, str], ...]:
    """Architecture and path, from ``ARCH=PATH`` with commas between."""
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, path = part.strip().partition("=")
        if name not in ARCHITECTURES[2:] or not equals or not path:
            raise OptionError(f"{origin}: {part!r} is not accepted; give arm64=PATH or x86_64=PATH")
        found[name] = path
    return tuple(found.items())


def parse_monitor(text: str, origin: str) -> float | None:
    """Seconds between two samples; ``None`` for no monitoring."""
    if not text:
        return None
    # The shortest is far above what one sample costs (some 0.1 ms).
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or float(text) < 0.05:
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give seconds from 0.05, as {origin}=0.5"
        )
    return float(text)


def pairs_text(pairs: Sequence[tuple[str, str]]) -> str:
    """``NAME=VALUE`` with commas between."""
    return ",".join(f"{name}={value}" for name, value in pairs)


def parse_faults(values: dict[str, str], origin: str, folder: Path) -> tuple[Fault, ...]:
    """The faults that are named, with --device=mps-sim only."""
    text = values["faults"]
    if text in ("", "none", "help", "each"):
        return ()
    if values["device"] != "mps-sim":
        raise OptionError(
            f"{origin}: {text!r} is accepted only with --device=mps-sim, "
            f"and this is --device={values['device']}"
        )
    from pytest_applesilicon.simulate import fault_names

    try:
        return fault_names.load(text, folder)
    except fault_names.FaultError as error:
        raise OptionError(f"{origin}: {error}") from None


def parse_expression(text: str, origin: str) -> str:
    """A regular expression, as it was given."""
    try:
        re.compile(text)
    except re.error as error:
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give a regular expression: {error}"
        ) from None
    return text


def parse_samples(text: str, origin: str, size: str) -> int | None:
    """Samples for each operator, dtype and direction; ``None`` for all."""
    if not text:
        return 2 if size == "quick" else None
    if text == "all":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise OptionError(f"{origin}: {text!r} is not accepted; give all, or a number from 1")
    return int(text)


def parse_seed(text: str, origin: str) -> int:
    """A whole number from 0 to 999999999."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give a whole number from 0 to 999999999"
        )
    return int(text)


def parse_repeats(text: str, origin: str) -> int:
    """How often a failed test is repeated, from 0 to 999."""
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise OptionError(f"{origin}: {text!r} is not accepted; give a number from 0 to 999")
    return int(text)


def parse_limit(text: str, origin: str) -> int:
    """Elements that stand for 2**32, from 2**16."""
    if not re.fullmatch(r"[0-9]{5,10}", text) or not 2**16 <= int(text) <= 2**32:
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give a whole number from 65536 to 4294967296"
        )
    return int(text)


def parse_seconds(text: str, origin: str) -> float:
    """Seconds above 0."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) or float(text) == 0:
        raise OptionError(
            f"{origin}: {text!r} is not accepted; give a number of seconds above 0, below 1000000"
        )
    return float(text)


def parse_reason(
    values: dict[str, str], origins: dict[str, str], explicit: frozenset[str]
) -> str | None:
    """Why a baseline is moved; ``None`` where it is not."""
    name = "budgets-accept"
    if name not in explicit:
        return None
    if not values[name].strip():
        raise OptionError(f"{origins[name]}: '' is not accepted; give the reason")
    return values[name].strip()


def parse_path(text: str, origin: str, folder: Path) -> Path | None:
    """A path relative to ``folder``; ``None`` for an empty text."""
    try:
        return folder / Path(text).expanduser() if text else None
    except RuntimeError:
        user = Path(text).parts[0]
        raise OptionError(
            f"{origin}: {text!r} is not accepted; the home folder of {user} is not known"
        ) from None


def refused(origin: str, value: str, choices: Sequence[str], what: str = "one of") -> OptionError:
    """The error for a value that is not one of the choices."""
    return OptionError(f"{origin}: {value!r} is not accepted; give {what}: {', '.join(choices)}")
