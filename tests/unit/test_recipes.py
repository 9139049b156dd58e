"""What a kernel rounds on the way shows in the magnitude term, and no more than that."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from terms import EPS, magnitude, sample  # noqa: E402

from pytest_applesilicon.agreement import attention, oracle, recipes  # noqa: E402
from pytest_applesilicon.agreement.evidence import FEW_DRAWS, Evidence  # noqa: E402


def test_a_transform_is_off_by_a_share_of_the_whole_line():
    spike = sample(3, 64)
    spike[0] = 1.0  # constant: every element but the first is zero
    for call in (torch.fft.fft, torch.fft.rfft):
        width, exact = magnitude(call, spike)
        size = np.sqrt((np.abs(exact) ** 2).mean(-1, keepdims=True))
        share = width / size / EPS
        assert share.min() > 1.0
        assert share.max() < 20.0


def test_a_line_with_an_infinity_is_undecided_and_no_other_line():
    given = sample(3, 8)
    given[1, 2] = math.inf
    evidence = Evidence(
        torch.fft.fft, (given,), {}, "float32", 0, oracle.evaluate(torch.fft.fft, (given,), {})
    )

    _, undecided = evidence.magnitude(0, FEW_DRAWS, np.arange(24), "float32")

    exact = evidence.exact[0]
    assert (undecided.reshape(3, 8) == (np.isinf(exact) & ~np.isnan(exact))).all()
    assert not undecided.reshape(3, 8)[[0, 2]].any()


def test_an_infinity_that_is_normalised_stays_decided():
    given = sample(2, 3, 4)
    given[1, 2, 3] = math.inf
    mean, variance = torch.zeros(3), torch.ones(3)
    call = torch.nn.functional.batch_norm
    lost = call(given, mean, variance).nan_to_num()

    found = oracle.judge_sample(lost, call, (given, mean, variance), {}, torch.float32)

    assert not found.agrees


def test_attention_in_grouped_heads_rounds_its_weights():
    query, key, value = sample(1, 8, 1, 32), sample(1, 2, 1024, 32), sample(1, 2, 1024, 32)
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu

    out, _ = attention.attention(None, query, key, value)
    width, _ = magnitude(lambda *args: kernel(*args)[0], query, key, value)

    torch.testing.assert_close(out, kernel(query, key, value)[0])
    # Of an element near zero too the terms are large: the sum of a thousand values.
    assert width.min() > 0.1 * EPS * out.abs().mean().item()


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


def test_the_gradient_of_a_grid_jumps_where_a_point_is_between_two_cells():
    volume = torch.tensor([0.0, 1.0, 5.0]).reshape(1, 1, 1, 3)
    middle = torch.zeros(1, 1, 1, 2)

    def of_grid(grid: Any) -> Any:
        grid = grid.clone().requires_grad_()
        found = torch.nn.functional.grid_sample(volume.to(grid.dtype), grid, align_corners=True)
        return torch.autograd.grad(found.sum(), grid)

    args = (middle,)
    evidence = Evidence(of_grid, args, {}, "float32", 0, oracle.evaluate(of_grid, args, {}))
    width, _ = evidence.magnitude(0, 8, [0], "float32")
    assert width[0] >= 3.0  # slopes of 1 and 4 meet


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


def test_half_precision_rounds_small_intermediates_to_subnormal_numbers():
    def of_small(given: Any) -> Any:
        return (given * 1e-7) * 1e3

    args = (torch.tensor([1.7], dtype=torch.float16),)
    evidence = Evidence(of_small, args, {}, "float16", 0, oracle.evaluate(of_small, args, {}))
    width, _ = evidence.magnitude(0, FEW_DRAWS, [0], "float16")
    assert width[0] == pytest.approx(2.0**-24 * 1e3)


def test_an_infinite_intermediate_stays_infinite():
    for given in (torch.tensor([1.0]), torch.tensor([1.0 + 0j])):
        width, exact = magnitude(lambda one: (one * math.inf).real * 0.5, given)
        assert np.isinf(exact).all()
        assert not width.any()


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_and_its_gradients_are_those_of_the_kernel(is_causal: bool, masked: bool):
    query, key, value = (sample(2, 3, 5, 4).double() + n for n in range(3))
    mask = sample(5, 5).double().masked_fill(torch.eye(5, dtype=torch.bool), -math.inf)
    given = {"is_causal": is_causal and not masked, "attn_mask": mask if masked else None}
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    right, logsumexp = kernel(query, key, value, 0.0, **given)
    out, ours = attention.attention(None, query, key, value, 0.0, **given)
    torch.testing.assert_close(out, right)
    torch.testing.assert_close(ours, logsumexp)
    grad = sample(2, 3, 5, 4).double()
    args = (grad, query, key, value, right, logsumexp, 0.0, given.pop("is_causal"))
    expected = backward(*args, **given)
    torch.testing.assert_close(attention.attention_backward(None, *args, **given), expected)


def test_a_gradient_that_cancels_shows_what_its_terms_round():
    """The first row of causal attention sees one key: the gradient of its query is zero."""

    def of_query(query: Any) -> Any:
        query = query.clone().requires_grad_()
        keys = torch.linspace(-3, 3, query.numel(), dtype=query.dtype).view(query.shape)
        attend = torch.nn.functional.scaled_dot_product_attention
        out = attend(query, keys, keys * 100, is_causal=True)
        return torch.autograd.grad(out.sum(), query)

    width, exact = magnitude(of_query, sample(1, 1, 4, 8))
    assert np.abs(exact[0, 0, 0]).max() < 1e-12
    assert width[0, 0, 0].min() > 10 * EPS


def test_the_shift_of_a_normalisation_is_rounded_where_its_mean_is_large():
    # One element: the result is zero, and a kernel leaves the rounding of x * scale + shift.
    single, scale = torch.tensor([8.1]), 1e-5**-0.5

    for call, args in (
        (torch.native_layer_norm, (single, (1,), None, None, 1e-5)),
        (torch.native_group_norm, (single.reshape(1, 1, 1), None, None, 1, 1, 1, 1, 1e-5)),
    ):
        width, exact = magnitude(call, *args)
        share = width.item() / (single.item() * scale * EPS)
        assert exact.item() == 0.0
        assert 0.5 < share < 8.0


def test_a_value_on_the_edge_of_a_bin_may_fall_on_either_side():
    def of_counts(given: Any) -> Any:
        return torch.histogram(given, 2).hist

    width, exact = magnitude(of_counts, torch.tensor(8.1))
    assert exact.tolist() == [0.0, 1.0]
    assert width.min() >= 1.0

    inside, _ = magnitude(of_counts, torch.tensor([0.0, 0.2, 0.9, 1.0]))
    assert not inside.any()


def test_the_mean_in_the_backward_pass_of_a_normalisation_is_rounded():
    # The weight's gradient of one element is zero, and kernels leave (x - mean) * scale.
    def of_weight(given: Any, weight: Any) -> Any:
        with torch.enable_grad():
            weight = weight.detach().requires_grad_()
            (result,) = torch.autograd.grad(torch.layer_norm(given, (1,), weight).sum(), weight)
            return result

    width, exact = magnitude(of_weight, torch.tensor([[8.1]]), torch.tensor([2.0]))
    assert abs(exact.item()) < 1e-12
    assert 0.5 < width.item() / (8.1 * 1e-5**-0.5 * EPS) < 8.0


def test_a_recipe_with_a_mistake_of_ours_is_not_passed_over(monkeypatch):
    def broken(mode: Any, *args: Any) -> Any:
        raise NameError("no such name")

    monkeypatch.setattr("pytest_applesilicon.agreement.rounding.recipe_of", lambda func: broken)
    with pytest.raises(NameError):
        magnitude(torch.nn.functional.softmax, sample(3, 4), 0)


def test_an_operator_written_in_python_is_taken_apart():
    @torch.library.custom_op("applesilicon_test::loss", mutates_args=())
    def loss(logits: torch.Tensor) -> torch.Tensor:
        return torch.logsumexp(logits, 0) - logits.max()

    # The loss is log(1 + 1e-6): a float32 sum of the exponentials rounds that at 1.
    width, exact = magnitude(loss, torch.tensor([14.0, 0.0]))
    assert 0 < exact.item() < 1e-6
    assert width.item() > EPS / 2
