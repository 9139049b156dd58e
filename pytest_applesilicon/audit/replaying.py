"""Recorded calls on a device, each judged by the oracle, in child processes that may end."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_applesilicon import isolation
from pytest_applesilicon.audit import signatures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_applesilicon.audit.signatures import Signature

Outcome = Literal["native", "fallback", "unsupported", "wrong", "crashed", "hung", "not-run"]

_BODY = "from pytest_applesilicon.audit import replay_child\nreplay_child.main(requests, replies)\n"

#: Seconds to import torch and find the device.
_BEGIN_S = 120.0


class ReplayError(Exception):
    """The device cannot be had in a child process; the text says why."""


@dataclass(frozen=True)
class Replayed:
    """What became of one signature."""

    operator: str
    outcome: Outcome
    reason: str
    first_test: str
    line: str
    dtypes: tuple[str, ...]
    calls: int


def replay(
    several: Sequence[Signature], device: str, *, faults: str = "", limit_s: float = 30.0,
    seed: int = 0,
) -> Iterator[Replayed]:  # fmt: skip
    """Run signatures on a device, one after the other, in the order given.

    Args:
        several: the signatures.
        device: ``cpu``, ``mps``, ``mps-sim``, ``cuda``.
        faults: of the simulated device, as ``--faults`` takes them.
        limit_s: seconds for each signature, after which it counts as hung.
        seed: of the values that were not recorded.

    Raises:
        ReplayError: a child process cannot get the device.
    """
    left = list(several)
    while left:
        with tempfile.TemporaryDirectory() as name:
            child = isolation.Child(_BODY, Path(name), Path.cwd())
            try:
                _begin(child, device, faults)
                while left:
                    one = left.pop(0)
                    yield _asked(child, one, limit_s, seed)
            except isolation.ChildEndedError as error:
                yield _replayed(one, error.ending.outcome, error.ending.reason)
            finally:
                child.kill()


def _begin(child: isolation.Child, device: str, faults: str) -> None:
    try:
        list(child.ask({"device": device, "faults": faults}, _BEGIN_S))
    except isolation.ChildEndedError as error:
        raise ReplayError(f"{device}: {error.ending.reason}") from None


def _asked(child: isolation.Child, one: Signature, limit_s: float, seed: int) -> Replayed:
    request = {"signature": signatures.to_json([one], ""), "seed": seed}
    reply = list(child.ask(request, limit_s))[-1]
    return _replayed(one, reply["outcome"], reply["reason"])


def _replayed(one: Signature, outcome: Outcome, reason: str) -> Replayed:
    return Replayed(
        one.operator, outcome, reason, one.first_test, one.line, one.dtypes(), one.calls
    )
