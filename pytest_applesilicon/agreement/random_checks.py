"""Random operators on a device: do they draw what they should, and the same under a seed?

The device draws, the host judges (``goodness``). The generator of the device is left as it
was found.
"""

from __future__ import annotations

import hashlib
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import fallback, opinfo
from pytest_applesilicon.agreement import distributions, goodness, lacking, random_draws
from pytest_applesilicon.records import OpOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_applesilicon.agreement.random_place import Draw

CHECKS = ("distribution", "reproducible")

#: Numbers per call where draws are held against each other: enough for several blocks of
#: threads of a GPU, and that no two draws of a coin are the same by chance.
REPEATED = 2**13


def names() -> dict[str, frozenset[str]]:
    """The random operators that are judged, with their dtypes on the CPU."""
    found = {
        one.name: one.dtypes
        for one in opinfo.operators()
        if one.kind == "random" and one.name in random_draws.JUDGED
    }
    return {**found, **random_draws.ADDED}


def check(name: str, dtype: str, *, device: Any, direction: str, seed: int = 0) -> OpOutcome:
    """Draw on a device and judge what was drawn.

    Args:
        name: one of ``names()``.
        dtype: one of its dtypes.
        device: a ``torch.device`` or its name.
        direction: one of ``CHECKS``.
        seed: what the generator of the device is seeded from.

    Returns:
        wrong, unsupported, fallback or native; ``samples`` are the calls that were judged.

    Raises:
        ScipyMissingError: the numbers cannot be judged.
    """
    import torch

    if direction == "distribution":
        distributions.scipy_stats()  # a missing SciPy is told before anything is drawn
        judged, count = _distribution, distributions.DRAWS
    else:
        judged, count = _reproducible, REPEATED
    category = next((one.category for one in opinfo.operators() if one.name == name), "random")
    found = OpOutcome(name, category, dtype, direction, "not-run")
    generator = Generator(torch.device(device))
    with warnings.catch_warnings(), torch.no_grad(), generator.kept():
        # bfloat16 means and deviations are converted with a warning on some releases
        warnings.simplefilter("ignore")
        with fallback.watch() as seen:
            try:
                calls = list(random_draws.draws(name, dtype, torch.device(device), count))
                wrong = judged(calls, generator, _seed(name, dtype, seed))
            except Exception as error:  # whatever an operator raises is an outcome
                return _raised(found, error)
    found = replace(found, samples=len(calls), outcome="native")
    if wrong:
        return replace(found, outcome="wrong", reason=f"{name} in {dtype}: {wrong}")
    if seen:
        return replace(found, outcome="fallback", reason=", ".join(seen))
    return found


class Generator:
    """The default generator of a device."""

    def __init__(self, device: Any) -> None:
        import torch

        self._module = torch if device.type == "cpu" else torch.get_device_module(device)

    def seed(self, seed: int) -> None:
        """Seed this device alone; ``torch.manual_seed`` would seed every device."""
        import torch

        if self._module is torch:
            torch.default_generator.manual_seed(seed)
        else:
            self._module.manual_seed(seed)

    def state(self) -> Any:
        return self._module.get_rng_state()

    def restore(self, state: Any) -> None:
        self._module.set_rng_state(state)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Afterwards the state is as it was."""
        before = self.state()
        try:
            yield
        finally:
            self.restore(before)


def _seed(*key: object) -> int:
    """A seed of its own for each test, the same on every run and machine."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _raised(found: OpOutcome, error: Exception) -> OpOutcome:
    text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if lacking.is_lacking(error):
        return replace(found, outcome="unsupported", reason=text)
    return replace(found, outcome="wrong", reason=f"{found.operator} raised {text}")


def _drawn(call: Callable[[], Any]) -> Any:
    """What a call draws, on the host: 16-bit numbers as float64, complex ones as pairs."""
    import torch

    found = call().cpu()
    if found.is_complex():
        found = torch.view_as_real(found)
    return (found.double() if found.is_floating_point() else found).numpy()


def _distribution(calls: list[Draw], generator: Generator, seed: int) -> str:
    """What is improbable in what the calls draw; empty where nothing is."""
    generator.seed(seed)
    findings = [(call, finding) for call in calls for finding in call.judge(_drawn(call.call))]
    rejected = goodness.rejected([finding for _, finding in findings])
    texts = [
        f"{call.text}: {finding.check}: {finding.detail}, p = {finding.p_value:.2g}"
        for call, finding in findings
        if finding in rejected
    ]
    return "; ".join(texts)


def _reproducible(calls: list[Draw], generator: Generator, seed: int) -> str:
    """What does not follow the seed or the state; empty where everything does."""
    problems = []
    for call in calls:
        problem = _unlike(call, generator, seed)
        if problem:
            problems.append(f"{call.text}: {problem}")
    return "; ".join(problems)


def _unlike(call: Draw, generator: Generator, seed: int) -> str:
    import torch

    def drawn() -> Any:
        # out= gives the same tensor each time
        return call.call().to("cpu", copy=True)

    def seeded(value: int) -> Any:
        generator.seed(value)
        return drawn()

    first, second = seeded(seed), drawn()
    state = generator.state()
    third = drawn()
    generator.restore(state)
    replayed = drawn()
    again, other = seeded(seed), seeded(seed + 1)
    if not torch.equal(first, again):
        return f"the same seed {seed} gives other values"
    if not torch.equal(third, replayed):
        return "the generator's state, put back, gives other values"
    if not call.constant and torch.equal(first, second):
        return "two draws in succession are the same: the state does not advance"
    if not call.constant and torch.equal(first, other):
        return f"the seeds {seed} and {seed + 1} give the same values"
    return ""
