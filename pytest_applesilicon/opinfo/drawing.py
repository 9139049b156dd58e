"""Samples: drawn lazily, from a seed of their own, without touching anyone's random state.

torch's own harness calls ``torch.manual_seed`` for each sample, which formats the Python stack
(it notes where lazily initialised devices were seeded): a third of a sweep. Here the
default CPU generator, Python's and NumPy's are seeded directly, and swapped in for a whole
batch of draws, because reading the state of Python's generator takes 40 µs.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Draws under one swap of the generators: few at first, as often no more are wanted.
_BATCHES = (8, 32)

#: Elements of the inputs drawn under one swap: a few of the largest inputs there are
#: (``grid_sampler_3d``, 5 million elements) do not pile up in memory.
_BATCH_ELEMENTS = 2**22

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Sample:
    """One call of an operator.

    Attributes:
        args: The positional arguments, the input first.
        kwargs: The keyword arguments.
        process: Makes the result of the call comparable, or leaves it: torch's
            ``output_process_fn_grad``, such as ``U @ V.mH`` for a singular value
            decomposition. Gradients are defined for the processed result only.
        broadcasts: The input is broadcast to the result's shape, so that the call in place fails.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    process: Callable[[Any], Any]
    broadcasts: bool

    @property
    def text(self) -> str:
        """Shapes, dtypes and arguments, for messages; made when it is asked for."""
        named = [f"{name}={_describe(value)}" for name, value in self.kwargs.items()]
        return "(" + ", ".join([*map(_describe, self.args), *named]) + ")"


class Stream:
    """Random numbers of one seed: its own states of the three global generators."""

    def __init__(self, *key: object) -> None:
        import numpy
        import torch

        digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
        self._torch = (
            torch.Generator().manual_seed(int.from_bytes(digest[:4], "little")).get_state()
        )
        self._python = random.Random(digest[:16]).getstate()  # noqa: S311  # samples, not secrets
        self._numpy = numpy.random.MT19937(int.from_bytes(digest[16:20], "little"))

    @contextmanager
    def running(self) -> Iterator[None]:
        """The global generators draw from this stream; afterwards they are as they were."""
        import torch
        from numpy.random import mtrand

        theirs = torch.default_generator.get_state()
        python = random.getstate()
        bits = mtrand.get_bit_generator()
        torch.default_generator.set_state(self._torch)
        random.setstate(self._python)
        mtrand.set_bit_generator(self._numpy)
        try:
            with warnings.catch_warnings():
                # Drawing is torch's business; what a call warns of is seen when it is called.
                warnings.simplefilter("ignore")
                yield
        finally:
            self._torch = torch.default_generator.get_state()
            self._python = random.getstate()
            torch.default_generator.set_state(theirs)
            random.setstate(python)
            mtrand.set_bit_generator(bits)


def draw(
    make: Callable[[], Any],
    stream: Stream,
    count: int | None,
    before_more: Callable[[], None] | None = None,
) -> Iterator[Any]:
    """Items of ``make()``, all of them or ``count``, drawn under the stream.

    A number is a spread: the items at the triangular numbers 0, 1, 3, 6, 10, ..., because
    the first samples of an operator tend to be its smallest. Where they end earlier, the last
    of those passed over make up the count. So the choice does not depend on the seed, at most
    ``count * (count + 1) / 2`` are drawn, and ``min(count, all)`` are given.

    ``before_more`` is called before items are drawn after others were given: torch's functions
    write into tensors that they gave away (those of ``masked.logsumexp`` do).
    """
    if count is not None and count < 1:
        raise ValueError(f"the number of samples must be at least 1 or None for all, not {count}")
    if count is None:
        yield from _all(make, stream, before_more)
        return
    with stream.running():
        items = list(islice(make(), count * (count + 1) // 2))
    yield from _spread(items, count)


def _all(
    make: Callable[[], Any], stream: Stream, before_more: Callable[[], None] | None
) -> Iterator[Any]:
    items: Iterator[Any] | None = None
    size, later = _BATCHES
    while True:
        batch: list[Any] = []
        failure: Exception | None = None
        full = False
        with stream.running():
            try:
                items = iter(make()) if items is None else items
                full = _take(items, size, batch)
            except Exception as error:  # told once those drawn before it were used
                failure = error
        yield from batch
        if failure is not None:
            raise failure
        if not full:
            return
        if before_more is not None:
            before_more()
        size = later


def _take(items: Iterator[Any], size: int, batch: list[Any]) -> bool:
    """Move items to the batch until it is full; whether there may be more."""
    elements = 0
    for item in islice(items, size):
        batch.append(item)
        elements += getattr(getattr(item, "input", None), "nelement", int)()
        if elements > _BATCH_ELEMENTS:
            return True
    return len(batch) == size


def _spread(items: list[T], count: int) -> Iterator[T]:
    wanted = {index * (index + 1) // 2 for index in range(count)}
    passed: deque[int] = deque(maxlen=count)
    chosen: list[int] = []
    for index in range(len(items)):
        (chosen if index in wanted else passed).append(index)
    lacking = count - len(chosen)
    chosen.extend(list(passed)[-lacking:] if lacking else [])
    return (items[index] for index in sorted(chosen))


def _describe(value: Any) -> str:
    import torch

    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        if value.layout is not torch.strided:
            return f"{dtype}{list(value.shape)} {str(value.layout).removeprefix('torch.')}"
        strides = "" if value.is_contiguous() else f" strides {list(value.stride())}"
        return f"{dtype}{list(value.shape)}{strides}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(_describe, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    return getattr(value, "__name__", None) or repr(value)
