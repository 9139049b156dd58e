"""torch's modules forward and backward, with the gradients of their parameters."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_applesilicon import opinfo
from pytest_applesilicon.agreement import functions, lacking

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

#: Configurations of each module, at each size.
SAMPLES = {"quick": 2, "full": 8}

#: Modules of which the gradients are not judged, and why.
FORWARD_ONLY = {
    "nn.GELU": "below -8 the gradient is 1e-17 and less, of 1 + erf in which everything cancels: "
    "float32 gives zero, and the allowed error does not know that intermediate result",
}


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_module(module_name: str, training: bool, applesilicon: AppleSilicon, device: Any) -> None:
    settings = applesilicon.settings
    record = next(one for one in opinfo.modules() if one.name == module_name)
    if training and not record.train_and_eval_differ:
        pytest.skip("it computes the same in training")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        count = SAMPLES["full" if settings.size == "full" else "quick"]
        # Of the inputs of a loss torch marks those that have a gradient.
        for sample in record.samples(
            seed=settings.seed, count=count, training=training, requires_grad=True
        ):
            module = record.build(sample, seed=settings.seed, training=training)
            args, kwargs = sample.forward.args, dict(sample.forward.kwargs)
            if record.lazy:
                with torch.no_grad():
                    module(*args, **kwargs)
            try:
                functions.assert_module_agrees(
                    module,
                    args,
                    kwargs=kwargs,
                    device=device,
                    gradients=module_name not in FORWARD_ONLY,
                    seed=settings.seed,
                )
            except (RuntimeError, TypeError) as error:
                if lacking.is_lacking(error):
                    pytest.skip(f"unsupported: {error}")
                raise
