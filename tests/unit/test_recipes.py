"""What a kernel rounds on the way shows in the magnitude term, and no more than that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.agreement import oracle, recipes  # noqa: E402
from pytest_applesilicon.agreement.evidence import FEW_DRAWS, Evidence  # noqa: E402

EPS = 2.0**-23


def magnitude(call: Any, *args: Any) -> tuple[Any, Any]:
    """The magnitude term of the first leaf, and the oracle."""
    evidence = Evidence(call, args, {}, "float32", 0, oracle.evaluate(call, args, {}))
    exact = evidence.exact[0]
    width, _ = evidence.magnitude(0, FEW_DRAWS, np.arange(exact.size), "float32")
    return width.reshape(exact.shape), exact


def sample(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_a_transform_is_off_by_a_share_of_the_whole_line():
    spike = sample(3, 64)
    spike[0] = 1.0  # constant: every element but the first is zero
    for call in (torch.fft.fft, torch.fft.rfft):
        width, exact = magnitude(call, spike)
        size = np.sqrt((np.abs(exact) ** 2).mean(-1, keepdims=True))
        share = width / size / EPS
        assert share.min() > 1.0
        assert share.max() < 20.0


def test_a_transform_of_one_point_rounds_nothing():
    width, _ = magnitude(torch.fft.fft, sample(4, 1))
    assert not width.any()


def test_a_pseudo_inverse_drops_what_the_dtype_cannot_tell_from_zero():
    def of_product(left: Any, right: Any) -> Any:
        return torch.linalg.pinv(left @ right)

    width, exact = magnitude(of_product, sample(6, 2), sample(2, 5))
    assert 0 < width.max() < 1e-3 * np.abs(exact).max()


def test_coordinates_are_rounded_in_units_of_the_volume():
    volume = torch.arange(8.0).reshape(1, 1, 2, 2, 2) * 1000
    middle = torch.zeros(1, 1, 1, 1, 3)  # zero: a relative change of it moves nothing
    width, exact = magnitude(torch.grid_sampler_3d, volume, middle, 0, 0, False)
    assert 1000 * EPS < width.item() < 1000 * 100 * EPS
    assert exact.item() == 3500.0


@pytest.mark.parametrize("name", ["native_batch_norm", "_batch_norm_with_update"])
def test_a_large_mean_shows_in_a_batch_norm_whatever_is_written(name: str):
    """Of two numbers the result is 1 and -1, and hardly moves with them."""
    given = torch.tensor([[1000.0], [1000.25]])
    training = (True,) if name == "native_batch_norm" else ()
    args = (given, None, None, torch.zeros(1), torch.ones(1), *training, 0.1, 1e-5)
    width, exact = magnitude(getattr(torch.ops.aten, name), *args)
    # 1000 times a scale of 8, in epsilon, times the dtype bound; both draws have that size.
    assert width == pytest.approx(4 * 8000 * EPS * np.ones((2, 1)), rel=0.05)
    assert np.abs(exact) == pytest.approx(1.0, abs=1e-3)
    assert torch.equal(args[3], torch.zeros(1))


def test_an_operator_that_writes_is_taken_as_it_is():
    assert recipes.recipe_of(torch.ops.aten.hardtanh_.default) is None
    assert recipes.recipe_of(torch.ops.aten.log_softmax.int) is None
    assert recipes.recipe_of(torch.ops.aten._log_softmax.default) is not None
    assert recipes.recipe_of(torch.ops.aten.clamp.default) is None


def test_a_result_that_is_written_to_after_it_was_made_is_what_was_written():
    def padded(given: Any) -> Any:
        whole = torch.empty(6).fill_(0.1)
        whole[1:5].copy_(given)
        return whole

    for call in (padded, lambda given: torch.constant_pad_nd(given, (1, 1), 0.1)):
        width, exact = magnitude(call, sample(4))
        assert width.max() <= 8 * EPS * np.abs(exact).max()
