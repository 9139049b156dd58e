"""Moving the inputs of a call by one epsilon, with signs drawn at random, and running it."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import envelope
from pytest_applesilicon.agreement.walking import dtype_name, leaves, mapped, to_host

if TYPE_CHECKING:
    from collections.abc import Callable


def perturbed(value: Any, dtype: Any, seed: int, *, step: float = 1.0, flush: bool = False) -> Any:
    """Widened arguments with every floating number moved by one epsilon of ``dtype``.

    Each element is multiplied by one plus or minus epsilon, signs drawn at random from
    ``seed``; infinity stays. The global generator is not touched. Python floats which the dtype
    cannot hold are moved as well. With ``flush``, subnormal numbers of the dtype become zero.
    """
    import torch

    info = envelope.DTYPE_INFO.get(dtype_name(dtype), envelope.DTYPE_INFO["float32"])
    signs = Signs(seed)
    eps = info.eps * step

    def leaf(one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            return _moved(one, eps, signs, info.smallest_normal if flush else 0.0)
        if type(one) is float and math.isfinite(one) and not _holds(one, info.eps):
            return one * (1 + eps * signs.one())
        return one

    return mapped(value, leaf)


def _moved(tensor: Any, eps: float, signs: Signs, smallest: float) -> Any:
    import torch

    if not (tensor.is_floating_point() or tensor.is_complex()):
        return tensor.clone()
    if tensor.layout is not torch.strided:
        return tensor * (1 + eps)
    moved = torch.addcmul(tensor, tensor, signs.like(tensor), value=eps)
    # Infinity less a share of it is NaN.
    moved = torch.where(tensor.isinf(), tensor, moved)
    if smallest:
        moved = torch.where(tensor.abs() < smallest, torch.zeros_like(moved), moved)
    return moved


def _holds(number: float, eps: float) -> bool:
    """Whether a dtype with this epsilon holds the number exactly, its range apart."""
    mantissa, _ = math.frexp(number)
    return (mantissa * 2.0 / eps).is_integer()


def perturbed_run(
    call: Callable[..., Any],
    wide: tuple[tuple[Any, ...], dict[str, Any]],
    dtype: Any,
    seed: int,
    *,
    step: float = 1.0,
    flush: bool = False,
) -> list[Any] | None:
    """The host leaves of one run with moved arguments; ``None`` where it cannot be made.

    Args:
        call: what is judged.
        wide: the widened arguments and keyword arguments; not written to.
        dtype: whose epsilon the arguments move by.
        seed: of the signs.
        step: the share of the epsilon to move by.
        flush: take subnormal numbers of the dtype as zero.
    """
    moved = perturbed(wide, dtype, seed, step=step, flush=flush)
    with float64_by_default(), contextlib.suppress(RuntimeError, ValueError, IndexError, TypeError):
        return [to_host(leaf) for leaf in leaves(call(*moved[0], **moved[1]))]
    return None


class float64_by_default:  # noqa: N801 - a context manager, as contextlib's are named
    """Results without a floating input (creation, integer inputs) are float64 as well."""

    def __enter__(self) -> None:
        import torch

        self._before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *raised: object) -> None:
        import torch

        torch.set_default_dtype(self._before)


#: How many random signs are kept; a prime, so that no tensor's rows repeat in step with them.
_POOL = 65_537


class Signs:
    """Random ones and minus ones: runs of a fixed pool, begun at places the seed decides.

    Drawing them anew for every tensor took longer than the operators themselves.
    """

    def __init__(self, seed: int) -> None:
        self.state = seed

    def _start(self) -> int:
        # Knuth's linear congruential generator (MMIX); the high bits are the random ones.
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % _POOL

    def like(self, tensor: Any) -> Any:
        """Signs in the shape of ``tensor``."""
        start, count = self._start(), tensor.numel()
        pool = _sign_pool(-(-count // _POOL) + 1, tensor.is_complex())
        return pool[start : start + count].view(tensor.shape)

    def one(self) -> float:
        """One sign."""
        return float(_sign_pool(1, False)[self._start()])


#: The longest run of the pool that was asked for, of real and of complex signs.
_pools: dict[bool, Any] = {}


def _sign_pool(repeats: int, as_complex: bool) -> Any:
    """At least so many repeats of the pool; one tensor is kept, for the largest takes 40 MiB."""
    import torch

    kept = _pools.get(as_complex)
    if kept is None or kept.numel() < repeats * _POOL:
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, (_POOL,), generator=generator) * 2 - 1
        kept = signs.to(torch.complex128 if as_complex else torch.float64).repeat(repeats)
        _pools[as_complex] = kept
    return kept
