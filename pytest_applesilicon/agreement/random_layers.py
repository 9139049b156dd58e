"""Layers that draw: dropout, attention with dropout, rrelu, fractional pooling."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import distributions as dist
from pytest_applesilicon.agreement import goodness
from pytest_applesilicon.agreement.distributions import Mask
from pytest_applesilicon.agreement.random_place import Draw, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_applesilicon.agreement.goodness import Finding


#: What dropout is given, in turn: powers of two, so that 16-bit types scale them alike.
_GIVEN = (1.0, -2.0, 0.5, 4.0)


# Dropout


def _drops(
    call: Callable[..., Any],
    mask: Callable[[float], Mask],
    channel: tuple[int, ...] = (),
    *,
    inplace: bool = True,
) -> Callable[[Place], Iterator[Draw]]:
    """Dropout of elements, or of channels of this shape: also in place, of all and of nothing."""

    def made(place: Place) -> Iterator[Draw]:
        shape = (place.count // 64, 32, *channel) if channel else (place.count,)
        count = place.count * (2 ** len(channel)) // 2 if channel else place.count
        given = place.filled(_GIVEN, count).reshape(shape)
        for chance, within in ((0.3, False), (0.6, True), (0.0, False), (1.0, False)):
            arguments = {"inplace": True} if within and inplace else {}

            def run(chance: float = chance, arguments: Any = arguments) -> Any:
                return call(given.clone(), chance, training=True, **arguments)

            yield Draw(
                f"{call.__name__}(p={chance}{', inplace=True' if arguments else ''})",
                run,
                partial(_masked, place, given, mask(chance) if chance < 1 else _ALL_DROPPED),
                constant=chance in (0.0, 1.0),
            )

    return made


#: torch returns zeros where everything is dropped, of alpha dropout too.
_ALL_DROPPED = Mask(0.0, 0.0)


def _masked(place: Place, given: Any, mask: Mask, values: Any) -> list[Finding]:
    # Of what is given only the device's copy lives: the host's is read when it is judged.
    there = given.cpu().double().numpy()
    groups = there.shape[0] * there.shape[1] if there.ndim > 1 else len(there)
    found = values.reshape(groups, -1), there.reshape(groups, -1)
    return goodness.judge_mask(*found, mask, place.precision)


def dropouts(name: str) -> Callable[[Place], Iterator[Draw]]:
    """The entry of a dropout; torch is imported when it is called."""
    channel = {"dropout2d": (2, 2), "dropout3d": (2, 2, 2), "feature_alpha_dropout": (2, 2)}
    mask = dist.alpha_dropout if "alpha" in name else dist.dropout

    def made(place: Place) -> Iterator[Draw]:
        import torch

        call = getattr(torch.nn.functional, name)
        yield from _drops(call, mask, channel.get(name, ()))(place)

    return made


#: Length of the sequence in attention, whose weights are then an eighth each.
_LENGTH = 8


def _attention_by(place: Place, chance: float) -> Callable[[Any], list[Finding]]:
    """Of equal weights and values that are unit vectors, the result is the dropped weights."""
    import numpy as np

    def judge(values: Any) -> list[Finding]:
        flat = values.reshape(-1, 1)
        given = np.full(flat.shape, 1 / _LENGTH)
        return goodness.judge_mask(flat, given, dist.dropout(chance), place.precision)

    return judge


def attention(place: Place) -> Iterator[Draw]:
    """Attention in which every weight is the same before some are dropped."""
    import torch

    batch = place.count // _LENGTH**2
    none = torch.zeros(batch, _LENGTH, _LENGTH, dtype=place.dtype, device=place.device)
    units = torch.eye(_LENGTH, dtype=place.dtype, device=place.device).expand_as(none)
    attend = torch.nn.functional.scaled_dot_product_attention
    yield Draw(
        "scaled_dot_product_attention(dropout_p=0.3)",
        lambda: attend(none, none, units.contiguous(), dropout_p=0.3),
        _attention_by(place, 0.3),
    )


def heads(place: Place) -> Iterator[Draw]:
    """The same through one head whose projections leave the values as they are."""
    import torch

    batch = place.count // _LENGTH**2
    where: dict[str, Any] = {"dtype": place.dtype, "device": place.device}
    none = torch.zeros(_LENGTH, batch, _LENGTH, **where)
    unit = torch.eye(_LENGTH, **where)
    units = unit[:, None].expand_as(none).contiguous()
    inward = torch.cat([unit * 0, unit * 0, unit])
    bias = torch.zeros(3 * _LENGTH, **where)

    def call() -> Any:
        return torch.nn.functional.multi_head_attention_forward(
            none, none, units, _LENGTH, 1, inward, bias, None, None, False, 0.3,
            unit, bias[:_LENGTH], training=True, need_weights=False,
        )[0]  # fmt: skip

    yield Draw("multi_head_attention_forward(dropout_p=0.3)", call, _attention_by(place, 0.3))


# Others


def rrelu(place: Place) -> Iterator[Draw]:
    """Negative elements times a uniform number, beside positive ones, which stay."""
    import torch

    given = place.filled((-1.0, 2.0), 2 * place.count)

    def judge(values: Any) -> list[Finding]:
        changed = int((values[1::2] != 2.0).sum())
        kept = goodness.Finding("positive", float(not changed), f"{changed} positive ones changed")
        drawn = goodness.judge(values[::2], dist.uniform(-0.75, -0.25), place.precision)
        return [kept, *drawn]

    def call(inplace: bool) -> Any:
        return torch.nn.functional.rrelu(given.clone(), 0.25, 0.75, training=True, inplace=inplace)

    for inplace in (False, True):
        text = f"rrelu(0.25, 0.75, training=True, inplace={inplace})"
        yield Draw(text, partial(call, inplace), judge)


def pools(dimensions: int) -> Callable[[Place], Iterator[Draw]]:
    """Fractional pooling of a ramp along one axis: the maxima tell where the regions start.

    Regions of 2 in a length of 9 give 4: region ``i`` starts at
    ``floor((i + u) * 7 / 3) - floor(u * 7 / 3)``, the last at 7, with one uniform ``u`` for
    each channel and axis: Graham, "Fractional Max-Pooling" (2014), pseudorandom sequences.
    """

    def made(place: Place) -> Iterator[Draw]:
        import torch

        channels = 4096
        ramp = torch.arange(9, dtype=place.dtype, device=place.device)
        for axis in range(dimensions):
            sizes = [9 if one == axis else 4 for one in range(dimensions)]
            shape = [9 if one == axis else 1 for one in range(dimensions)]
            outputs = [4 if one == axis else 2 for one in range(dimensions)]
            given = ramp.reshape(shape).expand(1, channels, *sizes).contiguous()
            pool = getattr(torch.nn.functional, f"fractional_max_pool{dimensions}d")
            yield Draw(
                f"fractional_max_pool{dimensions}d along axis {axis}",
                partial(pool, given, 2, output_size=outputs),
                partial(_starts, axis),
            )

    return made


def _starts(axis: int, values: Any) -> list[Finding]:
    import numpy as np

    chances = _chances_of_starts()
    first = np.moveaxis(values[0], 1 + axis, 1).reshape(values.shape[1], 4, -1)[:, :, 0]
    sequences = [tuple(int(one) - 1 for one in row) for row in first]
    known = {sequence: number for number, sequence in enumerate(chances)}
    numbers = np.array([known.get(one, len(known)) for one in sequences])
    return goodness.judge_categories(numbers, list(chances.values()))


def _chances_of_starts() -> dict[tuple[int, ...], float]:
    """Each sequence of starts with the measure of the numbers ``u`` that give it."""
    from math import floor

    step = 7 / 3
    # u * 7 / 3 and (i + u) * 7 / 3 pass an integer where u is a multiple of 1/7.
    found: dict[tuple[int, ...], float] = {}
    for seventh in range(7):
        u = (seventh + 0.5) / 7
        starts = (*(floor((i + u) * step) - floor(u * step) for i in range(3)), 7)
        found[starts] = found.get(starts, 0.0) + 1 / 7
    return found
