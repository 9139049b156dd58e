"""Layout variants hold the same values in other places of their storage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.agreement import layouts, values  # noqa: E402

SHAPES = [(), (1,), (7,), (0,), (3, 4), (0, 3), (3, 0, 2), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 3, 2)]


def numbered(shape: tuple[int, ...], dtype: Any = torch.float32) -> Any:
    return torch.arange(int(np.prod(shape))).reshape(shape).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.int64, torch.complex64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_variant_has_the_same_values_and_is_stored_otherwise(shape: Any, dtype: Any):
    given = numbered(shape, dtype)
    found = layouts.variants(given)
    plain = found.pop("contiguous")
    assert plain.is_contiguous()
    assert torch.equal(plain, given)
    for name, one in found.items():
        assert one.dtype is dtype
        assert one.shape == given.shape
        assert torch.equal(one, given), name
        assert (one.stride(), one.storage_offset()) != (plain.stride(), 0), name


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((), {"offset"}),
        ((7,), {"strided", "offset"}),
        ((0,), {"strided", "offset"}),
        ((3, 4), {"transposed", "strided", "offset"}),
        ((2, 3, 4), {"transposed", "strided", "offset", "reversed_dims"}),
        ((2, 3, 4, 5), {"transposed", "strided", "offset", "reversed_dims", "channels_last"}),
        (
            (2, 3, 2, 3, 2),
            {"transposed", "strided", "offset", "reversed_dims", "channels_last_3d"},
        ),
    ],
    ids=lambda one: ",".join(map(str, sorted(one))),
)
def test_the_layouts_that_apply_follow_from_the_shape(shape: Any, names: set[str]):
    assert set(layouts.variants(numbered(shape))) == {"contiguous", *names}


def test_what_is_constant_along_a_dimension_is_expanded():
    given = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    assert layouts.variant(given, "expanded").stride() == (1, 0)
    assert torch.equal(layouts.variant(given, "expanded"), given)
    assert layouts.variant(given.mT, "expanded").stride() == (0, 1)
    assert layouts.variant(numbered((2, 3)), "expanded") is None


def test_nan_is_never_taken_for_constant():
    assert layouts.variant(torch.full((3,), torch.nan), "expanded") is None


def test_the_offset_variant_begins_inside_its_storage():
    assert layouts.variant(numbered((3, 4)), "offset").storage_offset() == layouts.OFFSET


def test_between_the_elements_of_a_strided_variant_stand_other_values():
    one = layouts.variant(torch.zeros(4), "strided")
    assert torch.equal(torch.as_strided(one, (8,), (1,)), torch.tensor([0.0, 1.0] * 4))


def test_a_variant_of_a_view_has_the_values_of_the_view():
    given = numbered((4, 6)).mT[1:5, ::2]
    for one in layouts.variants(given).values():
        assert torch.equal(one, given)


def test_a_variant_shares_no_memory_with_the_tensor():
    given = numbered((3, 4))
    for one in layouts.variants(given).values():
        one.zero_()
    assert torch.equal(given, numbered((3, 4)))


def test_sparse_tensors_are_left_alone():
    given = numbered((3, 4)).to_sparse()
    assert set(layouts.variants(given)) == {"contiguous"}


def test_applied_tells_how_many_tensors_took_the_layout():
    given = ([numbered((3, 4)), numbered(())], {"n": 2})
    (moved, named), count = layouts.applied(given, "transposed")
    assert count == 1
    assert moved[0].stride() == (1, 3)
    assert named == {"n": 2}


@pytest.mark.parametrize("wrong", ["diagonal", ("contiguous", "diagonal"), ()])
def test_an_unknown_layout_is_told_with_those_there_are(wrong: Any):
    with pytest.raises(ValueError, match="choose from contiguous, transposed"):
        layouts.chosen(wrong)


def test_layouts_are_chosen_by_name():
    assert layouts.chosen("all") == layouts.LAYOUTS
    assert layouts.chosen(None) == layouts.chosen("contiguous") == ("contiguous",)
    assert layouts.chosen(["offset", "strided"]) == ("offset", "strided")


# Edge values


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_floating_dtype_holds_its_edge_values_exactly(dtype: str):
    info = torch.finfo(getattr(torch, dtype))
    found = values.edge_tensor(dtype)
    assert found.double().nan_to_num(7).tolist() == (
        torch.tensor(values.edge_values(dtype), dtype=torch.float64).nan_to_num(7).tolist()
    )
    for wanted in (info.max, info.min, info.smallest_normal, 1 + info.eps, 1 - info.eps / 2):
        assert wanted in values.edge_values(dtype)
    assert found.isnan().sum() == 1
    assert found.isinf().sum() == 2
    assert (found == 0).sum() == 2
    assert torch.signbit(found[found == 0]).sum() == 1
    subnormal = found[(found > 0) & (found < info.smallest_normal)].double()
    assert subnormal.tolist() == [info.smallest_normal * info.eps]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_an_integer_dtype_has_its_ends_among_its_edge_values(dtype: str):
    info = torch.iinfo(getattr(torch, dtype))
    found = values.edge_values(dtype)
    assert (found[0], found[-1]) == (info.min, info.max)
    assert values.edge_tensor(dtype).tolist() == list(found)
    assert (2**24 + 1 in found) == (info.bits > 16)


def test_edge_values_come_as_arrays_too():
    assert values.edge_array("float16").dtype == np.float16
    assert values.edge_array("bool").tolist() == [False, True]
    assert values.edge_array("complex64").size == len(values.edge_values("float32")) ** 2
    with pytest.raises(ValueError, match="use edge_tensor"):
        values.edge_array("bfloat16")
    with pytest.raises(ValueError, match="no edge values of dtype 'float8'"):
        values.edge_values("float8")


def test_every_pair_of_edge_values_stands_once_among_the_pairs():
    left, right = values.edge_pairs("uint8")
    pairs = set(zip(left.flatten().tolist(), right.flatten().tolist(), strict=True))
    assert len(pairs) == left.numel() == len(values.edge_values("uint8")) ** 2
