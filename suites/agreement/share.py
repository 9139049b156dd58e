"""Which of the tests run at ``--size=quick``, and calling an operator of torch's database."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_applesilicon import opinfo
from pytest_applesilicon.agreement import calls, forms, lacking, oracle, telling, walking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_applesilicon.fixtures import AppleSilicon
    from pytest_applesilicon.opinfo import Operator, Sample
    from pytest_applesilicon.options import Settings

#: At --size=quick every fourth operator, module and optimizer runs, and at full every one.
QUICK = 4

#: The categories of operators that compute; the others move, create or draw.
COMPUTE = ("pointwise", "reduction", "nn", "indexing", "linear algebra")

#: The categories of operators that take an input; the others create or draw.
TAKE_INPUT = (*COMPUTE, "special", "fft", "sorting", "view", "other")


def share(found: Sequence[Any], settings: Settings) -> list[Any]:
    """All of them at full size, else every fourth."""
    return list(found if settings.size == "full" else found[::QUICK])


def operators_of(categories: Sequence[str], settings: Settings) -> list[Operator]:
    """The operators that are tested; those --ops names are, whatever the size."""
    found = [one for one in opinfo.operators() if one.category in categories]
    if settings.ops:
        return [one for one in found if re.search(settings.ops, one.name)]
    return share(found, settings)


def check_form(operator: str, form: str, direction: str, applesilicon: AppleSilicon) -> None:
    """Fail where the operator is wrong on a form of its input; skip where there is none."""
    __tracebackhide__ = True
    found = forms.check(
        operator,
        form,
        device=applesilicon.framework.device(applesilicon.spec),
        direction=direction,
        seed=applesilicon.settings.seed,
    )
    assert found.outcome != "wrong", found.reason
    if found.outcome in ("unsupported", "not-run"):
        pytest.skip(f"{found.outcome}: {found.reason}")


def moved(value: Any, device: torch.device) -> Any:
    """Copies of the tensors on the device."""

    def leaf(one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            return one.detach().clone().to(device)
        return device if isinstance(one, torch.device) else one

    return walking.mapped(value, leaf)


def samples(operator: Operator, dtype: str, seed: int, count: int | None) -> Iterator[Sample]:
    """Samples of the operator; torch's deprecation warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from operator.samples(dtype, seed=seed, count=count)


def run(call: Callable[..., Any], args: Any, kwargs: Any, hosts: Any) -> Any:
    """What the call gives on the device.

    A missing kernel is a fact of coverage, which suites/ops reports: it is a skip here. So is
    a call that the host, given ``hosts``, refuses as well.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            return calls.on_device(call, args, kwargs)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            if lacking.is_lacking(error):
                pytest.skip(f"unsupported: {text}")
            hosts = walking.copied(hosts)
            try:
                call(*hosts[0], **hosts[1])
            except (RuntimeError, TypeError, ValueError, IndexError):
                pytest.skip(f"the host refuses this call as well: {text}")
            raise


def judge(
    actual: Any,
    call: Callable[..., Any],
    args: Any,
    kwargs: Any,
    dtype: torch.dtype,
    *,
    name: str = "",
    kind: str = "floating",
) -> None:
    """Fail where the result of the device is not the host's in float64."""
    __tracebackhide__ = True
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        found = oracle.judge_sample(actual, call, args, kwargs, dtype, name=name, kind=kind)
    if not found.agrees:
        expected = telling.host_element(call, args, kwargs, found)
        what = f"{name or 'call'}{telling.sample_text(args, kwargs)}"
        text = telling.told(found, expected=expected)
        pytest.fail(f"{what}, in {walking.dtype_name(dtype)}: {text}", pytrace=False)


def judge_operator(
    actual: Any, operator: Operator, sample: Sample, args: Any, kwargs: Any, dtype: str
) -> None:
    """Judge one call of an operator of torch's database."""
    __tracebackhide__ = True
    judge(
        actual,
        calling(operator, sample),
        args,
        kwargs,
        getattr(torch, dtype),
        name=operator.name,
        kind=operator.kind_of(sample),
    )


def calling(operator: Operator, sample: Sample) -> Callable[..., Any]:
    """The operator as a function of other arguments than the sample's."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return operator.call(sample, args=args, kwargs=kwargs)

    return call
