"""A function or module that computes wrongly on the device is caught, and a right one passes."""

from __future__ import annotations

import re
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.agreement import functions  # noqa: E402
from pytest_applesilicon.agreement.functions import (  # noqa: E402
    assert_agrees,
    assert_module_agrees,
)

#: Filled while the call on the device runs: the CPU stands in for a device that is wrong.
ON_DEVICE: list[bool] = []


@pytest.fixture(autouse=True)
def told_when_on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    run = functions._run

    def flagged(*args: Any) -> Any:
        ON_DEVICE.append(True)
        try:
            return run(*args)
        finally:
            ON_DEVICE.clear()

    monkeypatch.setattr(functions, "_run", flagged)


def sample(*shape: int, dtype: Any = torch.float32, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def agrees(fn: Any, *inputs: Any, **options: Any) -> None:
    assert_agrees(fn, *inputs, device="cpu", **options)


# Functions that are right


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.complex64])
def test_a_right_function_agrees_in_every_layout(dtype: Any):
    agrees(lambda x, y: (x * y).sum(-1) + x.mean(), sample(3, 4, dtype=dtype), sample(4).to(dtype))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3, 4, 5), (2, 3, 2, 3, 2)], ids=str)
def test_zero_size_zero_dim_and_five_dim_inputs_are_judged(shape: Any):
    agrees(torch.exp, sample(*shape))


def test_integers_are_judged_without_gradients():
    agrees(torch.add, torch.arange(6).reshape(2, 3), 2**24 + 1)


def test_inputs_in_lists_and_dicts_are_walked():
    agrees(lambda pair, named: pair[0] @ named["right"], [sample(3, 4)], {"right": sample(4, 2)})


def test_only_the_inputs_that_require_a_gradient_are_differentiated():
    target = torch.tensor([1.0, -1.0, 1.0])
    agrees(torch.nn.functional.soft_margin_loss, sample(3).requires_grad_(), target)


def test_a_function_that_writes_into_its_input_agrees_without_gradients():
    given = sample(3, 4)
    before = given.clone()
    agrees(lambda x: x.mul_(2), given, gradients=False)
    assert torch.equal(given, before)


# Functions that are wrong on the device


def wrong(right: Any, broken: Any) -> Any:
    """What is broken on the device and right on the host."""

    def fn(x: Any) -> Any:
        return (broken if ON_DEVICE else right)(x)

    return fn


def test_a_function_that_ignores_the_storage_offset_is_caught():
    def from_the_start(x: Any) -> Any:
        return torch.as_strided(x, x.shape, x.stride(), 0) * 2

    with pytest.raises(AssertionError, match="layout offset"):
        agrees(wrong(lambda x: x * 2, from_the_start), sample(3, 4), gradients=False)


@pytest.mark.parametrize("layout", ["transposed", "strided", "channels_last", "reversed_dims"])
def test_an_input_read_as_if_it_were_contiguous_is_caught(layout: str):
    def read(x: Any) -> Any:
        return torch.as_strided(x, (x.numel(),), (1,)).reshape(x.shape) * 2

    fn = wrong(lambda x: x * 2, read)
    agrees(fn, sample(2, 3, 4, 5), layouts=None, gradients=False)
    with pytest.raises(AssertionError, match=f"layout {layout}, on cpu"):
        agrees(fn, sample(2, 3, 4, 5), layouts=layout, gradients=False)


class Scaled(torch.autograd.Function):
    """The sine, with a gradient that is scaled by 0.99 on the device."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        (x,) = ctx.saved_tensors
        return upstream * x.cos() * (0.99 if ON_DEVICE else 1.0)


def test_a_gradient_scaled_by_a_hundredth_is_caught():
    agrees(Scaled.apply, sample(5), gradients=False)
    with pytest.raises(AssertionError, match=r"backward in float32, .* gradient of input 0 is wro"):
        agrees(Scaled.apply, sample(5))


def test_an_expanded_upstream_gradient_read_as_contiguous_is_caught():
    class Dense(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, upstream: Any) -> Any:
            if not ON_DEVICE or 0 not in upstream.stride():
                return upstream
            read = torch.zeros(upstream.shape)
            read.view(-1)[0] = 1
            return read

    agrees(Dense.apply, sample(3, 4), layouts=("contiguous", "transposed"))
    with pytest.raises(AssertionError, match=r"backward in float32, layout expanded"):
        agrees(Dense.apply, sample(3, 4))


def test_a_dropped_nan_is_caught():
    given = torch.tensor([1.0, torch.nan, 2.0])
    agrees(torch.exp, given)
    with pytest.raises(
        AssertionError, match=r"wrong at \[1\]: actual 0.0, expected nan, oracle nan"
    ):
        agrees(wrong(torch.exp, lambda x: x.exp().nan_to_num()), given)


def test_a_result_computed_in_half_precision_is_caught():
    with pytest.raises(
        AssertionError, match="dtype of result 0 differs: float16, expected float32"
    ):
        agrees(wrong(torch.exp, lambda x: x.half().exp()), sample(30))
    with pytest.raises(AssertionError, match="result 0 is wrong"):
        agrees(wrong(torch.exp, lambda x: x.half().exp().float()), sample(30))


def test_integers_routed_through_float32_are_caught():
    fn = wrong(lambda x: x + 1, lambda x: x.float().long() + 1)
    with pytest.raises(AssertionError, match="actual 16777217, expected 16777218, oracle 16777218"):
        agrees(fn, torch.tensor([2**24 + 1]))


def test_a_result_on_another_device_is_caught():
    with pytest.raises(AssertionError, match="a result is on meta, not on cpu"):
        agrees(lambda x: x.to("meta"), sample(3))


# Texts and refusals


def test_a_failure_tells_what_where_and_by_how_much():
    shifted = wrong(torch.sin, lambda x: x.sin() + torch.tensor([0.0, 0.5, 0.0]))

    def shifted_sine(x: Any) -> Any:
        return shifted(x)

    with pytest.raises(AssertionError) as caught:
        agrees(shifted_sine, torch.tensor([1.0, 0.25, -1.0]), layouts=None)
    assert re.match(
        r"shifted_sine: forward in float32, layout contiguous, on cpu: result 0 is wrong at \[1\]: "
        r"actual 0\.7474\d+, expected 0\.2474\d+, oracle 0\.2474\d+: off by 0\.5, 3\.36e\+07 ULP, \d\.\d+e\+06 times "
        r"what is allowed; 1 of 3 elements are outside\nsample: \(float32\[3\]\)\nreproduce: ",
        str(caught.value),
    )


def test_an_exception_on_the_device_keeps_its_type_and_tells_the_case():
    def refuses(x: Any) -> Any:
        raise NotImplementedError("no kernel")

    with pytest.raises(NotImplementedError, match="no kernel") as caught:
        agrees(refuses, sample(3))
    notes = getattr(caught.value, "__notes__", ["refuses: forward in float32, layout contiguous"])
    assert notes[0].startswith("refuses: forward in float32, layout contiguous")


def test_a_layout_asked_for_by_name_must_apply():
    with pytest.raises(ValueError, match="neg: layout 'channels_last' applies to no input"):
        agrees(torch.neg, sample(3), layouts=("channels_last",))


# Modules


class Affine(torch.nn.Module):
    """A linear map with a gradient of its weight, and a buffer, that may be off."""

    def __init__(self, off: float = 1.0, count: int = 1) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(sample(4, 4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.off, self.count = off, count

    def forward(self, x: Any) -> Any:
        self.calls += self.count if ON_DEVICE else 1
        off = self.off if ON_DEVICE else 1.0
        weight = self.weight * off + self.weight.detach() * (1 - off)
        return x @ weight


def test_a_right_module_agrees_and_stays_as_it_is():
    module = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.GELU())
    before = {name: one.clone() for name, one in module.state_dict().items()}
    assert_module_agrees(module, sample(6, 4), device="cpu")
    assert all(torch.equal(before[name], one) for name, one in module.state_dict().items())
    assert all(one.grad is None for one in module.parameters())


def test_keyword_arguments_and_several_inputs_reach_the_module():
    module = torch.nn.MultiheadAttention(4, 2)
    query = sample(3, 2, 4)
    assert_module_agrees(
        module, (query, query, query), kwargs={"average_attn_weights": False}, device="cpu"
    )


def test_recurrent_modules_use_the_parameters_of_the_oracle():
    assert_module_agrees(torch.nn.LSTM(4, 3, num_layers=2), sample(5, 2, 4), device="cpu")


def test_a_module_whose_weight_gradient_is_off_is_caught_by_its_name():
    assert_module_agrees(Affine(), sample(3, 4), device="cpu")
    assert_module_agrees(Affine(off=0.99), sample(3, 4), device="cpu", gradients=False)
    with pytest.raises(AssertionError, match=r"Affine: backward .*: gradient of weight is wrong"):
        assert_module_agrees(Affine(off=0.99), sample(3, 4), device="cpu")


def test_a_wrong_buffer_is_caught_by_its_name():
    with pytest.raises(
        AssertionError, match=r"forward .*: buffer calls is wrong .*: actual 2, expected 1, orac"
    ):
        assert_module_agrees(Affine(count=2), sample(3, 4), device="cpu")
