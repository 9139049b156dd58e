"""Faults of random numbers, and what must notice each; see ``faults``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

DISTRIBUTION = "ops/test_random.py::test_distribution"
REPRODUCIBLE = "ops/test_random.py::test_reproducible"

#: Two operators in three dtypes; all faults here use these options.
OPTIONS = ("--ops=^randn(_like)?$", "--dtypes=float32,float16,bfloat16")


def drawn(change: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """What every call draws on the device is changed."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon.agreement import random_draws

        original = random_draws.draws

        def draws(*args: Any) -> Iterator[Any]:
            for one in original(*args):
                yield dataclasses.replace(one, call=lambda call=one.call: change(call()))

        patch.setattr(random_draws, "draws", draws)

    return install


def generator(**methods: Any) -> Callable[[pytest.MonkeyPatch], None]:
    """Methods of the generator of the device are others."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon.agreement import random_checks

        for name, method in methods.items():
            patch.setattr(random_checks.Generator, name, method)

    return install


def _repeated(tensor: Any) -> Any:
    return tensor[:512].repeat(len(tensor) // 512)


def _rectangular(tensor: Any) -> Any:
    return tensor.clamp(-3, 3)


def _always_the_same(tensor: Any) -> Any:
    import torch

    again = torch.Generator().manual_seed(0)
    return torch.randn(tensor.shape, generator=again).to(tensor.dtype)


FAULTS = (
    Fault(
        "normal-numbers-fall-short",
        "normal numbers are five percent too narrow",
        {DISTRIBUTION: "Kolmogorov-Smirnov"},
        drawn(lambda tensor: tensor * 0.95),
        options=OPTIONS,
    ),
    Fault(
        "tails-are-cut",
        "no normal number is beyond three deviations",
        {DISTRIBUTION: "tail"},
        drawn(_rectangular),
        options=OPTIONS,
    ),
    Fault(
        "blocks-repeat",
        "every block of 512 threads draws the same numbers",
        {DISTRIBUTION: "independence"},
        drawn(_repeated),
        options=OPTIONS,
    ),
    Fault(
        "state-stands-still",
        "the state of the generator neither advances nor follows the seed",
        {REPRODUCIBLE: "two draws in succession are the same"},
        drawn(_always_the_same),
        options=OPTIONS,
    ),
    Fault(
        "seed-is-ignored",
        "seeding the generator does nothing",
        {REPRODUCIBLE: "the same seed"},
        generator(seed=lambda self, seed: None),
        options=OPTIONS,
    ),
    Fault(
        "seeds-are-one",
        "every seed is taken for zero",
        {REPRODUCIBLE: "give the same values"},
        generator(seed=lambda self, seed: self.restore(_zero_state())),
        options=OPTIONS,
    ),
    Fault(
        "state-is-not-put-back",
        "setting the state of the generator does nothing",
        {REPRODUCIBLE: "the generator's state, put back"},
        generator(restore=lambda self, state: None),
        options=OPTIONS,
    ),
)


def _zero_state() -> Any:
    import torch

    return torch.Generator().manual_seed(0).get_state()


def fault_named(name: str) -> Fault | None:
    """The fault of this name, or None."""
    return next((fault for fault in FAULTS if fault.name == name), None)
