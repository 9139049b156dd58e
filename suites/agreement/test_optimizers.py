"""Five steps of every optimizer: the parameters after each are those of float64 on the host."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_applesilicon import opinfo
from pytest_applesilicon.agreement import calls

from .share import judge

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon
    from pytest_applesilicon.opinfo import OptimizerRecord

pytestmark = pytest.mark.frameworks("torch")

STEPS = 5


def start(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where a matrix and, beside it, another one begin: one to two away from zero."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.rand(4, 3, generator=generator), torch.rand(3, 5, generator=generator)]
    return drawn[0] + 1, drawn[1] + 1


def trajectory(record: OptimizerRecord, options: dict[str, Any], *begin: torch.Tensor) -> list[Any]:
    """The parameters after each step towards a product that is small."""
    parameters = [torch.nn.Parameter(one.detach().clone()) for one in begin]
    optimizer = record.optimizer(parameters, **options)

    def closure() -> Any:
        with torch.enable_grad():
            optimizer.zero_grad()
            loss = (parameters[0] @ parameters[1] - 0.5).pow(2).mean()
            loss.backward()
        if record.sparse:
            for one in parameters:
                one.grad = one.grad.to_sparse()
        return loss

    found = []
    for _ in range(STEPS):
        if record.closure:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        found.append([one.detach().clone() for one in parameters])
    return found


def test_trajectory(
    optimizer: str, configuration: int, applesilicon: AppleSilicon, device: Any
) -> None:
    record = next(one for one in opinfo.optimizers() if one.name == optimizer)
    _, options = record.configurations[configuration]
    if options.get("fused") and device.type not in record.fused_on:
        pytest.skip(f"torch says that fused=True does not run on {device.type}")

    def call(*begin: torch.Tensor) -> list[Any]:
        return trajectory(record, options, *begin)

    begin = start(applesilicon.settings.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            actual = calls.on_device(call, tuple(one.to(device) for one in begin), {})
        except NotImplementedError as error:
            # A missing kernel is a fact of coverage, as in the other tests of this suite.
            pytest.skip(f"unsupported: {error}")
        judge(actual, call, begin, {}, torch.float32)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_fused_step_is_skipped_where_the_scaler_found_an_infinity(name: str, device: Any) -> None:
    """What ``torch.amp.GradScaler`` tells a fused optimizer; the step count stays as well."""
    record = next(one for one in opinfo.optimizers() if one.name == name)
    if device.type not in record.fused_on:
        pytest.skip(f"torch says that fused=True does not run on {device.type}")
    parameter = torch.nn.Parameter(torch.ones(4).to(device))
    optimizer = record.optimizer([parameter], fused=True, lr=0.5, weight_decay=0.0)
    parameter.grad = torch.ones(4).to(device)
    for found, expected in ((1.0, 1.0), (0.0, 0.5)):
        optimizer.grad_scale, optimizer.found_inf = None, torch.tensor(found).to(device)
        optimizer.step()
        assert parameter.detach().cpu().tolist() == pytest.approx([expected] * 4)
