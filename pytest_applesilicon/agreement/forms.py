"""An operator on other forms of its input: stored in other layouts, or of other shapes."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import directions, layouts, operators, shapes, walking
from pytest_applesilicon.records import OpOutcome

if TYPE_CHECKING:
    from pytest_applesilicon.opinfo import Operator, Sample

#: The names of the forms: memory layouts of the same values, then shapes.
FORMS = (*layouts.LAYOUTS, *shapes.SHAPES)

#: The directions that are carried out in other forms.
DIRECTIONS = ("forward", "gradient", "inplace")

DTYPE = "float32"

#: How many samples are looked through for the first that takes the form.
SAMPLES = 16

_BY_STORAGE = "its result is defined by how its input is stored"

#: Operators that are not called in other layouts, or shapes, and why.
LEFT_OUT = {
    "as_strided": _BY_STORAGE,
    "as_strided_copy": _BY_STORAGE,
    "as_strided_scatter": _BY_STORAGE,
    "as_strided.partial_views": _BY_STORAGE,
}

#: Calls of an operator, a direction and a form that are not judged, and why.
NOT_JUDGED = {
    **{
        ("kron", "gradient", form): "the sum of 200 products in float32 is up to 2.2 times as far "
        "off as its allowed error, which does not know how the kernel adds them"
        for form in ("reversed_dims", "channels_last", "channels_last_3d", "five_dim")
    },
    ("nn.functional.scaled_dot_product_attention", "gradient", "expanded"): "for equal upstream "
    "gradients that of a row with one key cancels to zero inside the fused kernel: float32 "
    "gives 1e-6, and the allowed error does not know that intermediate result",
    **{
        (f"nn.functional.{name}", "forward", "zero_size"): "torch's kernel on the CPU leaves its "
        "result unwritten where there is no sample"
        for name in ("multilabel_margin_loss", "multi_margin_loss")
    },
}

#: Calls that torch itself computes wrongly on the CPU, which is right to fail elsewhere.
_MEDIAN = (
    "torch 2.13 on the CPU gives wrong medians of an expanded dimension: it partitions the one "
    "element that stands for all of them (torch.randn(5).expand(2, 5).median(0))"
)
WRONG_ON_CPU = {
    (name, direction, "expanded"): _MEDIAN
    for name in ("median", "nanmedian", "masked.median")
    for direction in ("forward", "gradient")
}


def check(
    name: str, form: str, *, device: Any, direction: str = "forward", seed: int = 0
) -> OpOutcome:
    """Run the first sample of an operator that takes the form, in float32, and judge it.

    Args:
        name: of the operator.
        form: one of ``FORMS``.
        device: a ``torch.device`` or its name.
        direction: one of ``DIRECTIONS``.
        seed: of the samples.

    Returns:
        the outcome; not-run, with the reason, where no sample takes the form. What a device
        gives wrong comes with a program that shows it again.

    Raises:
        ValueError: the operator, the form or the direction is unknown.
    """
    for given, known in ((form, FORMS), (direction, DIRECTIONS)):
        if given not in known:
            raise ValueError(f"{given!r}: choose from {', '.join(known)}")
    operator = operators.find(name)
    found = OpOutcome(name, operator.category, DTYPE, direction, "not-run")
    reason = _why_not(operator, form, direction, device)
    if reason:
        return replace(found, reason=reason)
    sample = sample_in(operator, form, direction, seed)
    if sample is None:
        return replace(found, reason=_none_takes(form))
    layout = form if form in layouts.LAYOUTS else ""
    found = operators.sample_outcome(
        operator, sample, DTYPE, device=device, direction=direction, layout=layout
    )
    if found.outcome != "wrong":
        return found
    reason = f"{_named(form)}: {found.reason}\n{reproduction(found, form, seed, device)}"
    return replace(found, reason=reason)


def reproduction(found: OpOutcome, form: str, seed: int, device: Any) -> str:
    """A program of three lines that runs the sample again and prints what is wrong."""
    return (
        "reproduce:\n"
        "  from pytest_applesilicon.agreement.forms import check\n"
        f'  found = check("{found.operator}", "{form}", device="{device}",'
        f' direction="{found.direction}", seed={seed})\n'
        "  print(found.outcome, found.reason)"
    )


def _named(form: str) -> str:
    return f"layout {form}" if form in layouts.LAYOUTS else f"shape {form}"


def _none_takes(form: str) -> str:
    if form in shapes.SHAPES:
        return f"the host refuses every {form} input made of its first {SAMPLES} samples"
    return f"no input of its first {SAMPLES} samples can be stored so"


def _why_not(operator: Operator, form: str, direction: str, device: Any) -> str:
    """Why the operator is not called in this form; empty where it is."""
    case = (operator.name, direction, form)
    known = LEFT_OUT.get(operator.name) or NOT_JUDGED.get(case)
    if known is None and str(device) == "cpu":
        known = WRONG_ON_CPU.get(case)
    if known:
        return known
    if DTYPE not in directions.dtypes_of(operator, direction):
        return f"it has no {direction} in {DTYPE}"
    if operator.name in shapes.UNCHECKED and form in shapes.SHAPES:
        return "its kernel on the CPU does not check shapes and may end the process"
    if direction == "inplace" and form == "expanded":
        return "torch writes into no expanded tensor"
    return ""


def sample_in(operator: Operator, form: str, direction: str, seed: int) -> Sample | None:
    """The first sample that takes the form, in the shape in which it does.

    New shapes are made of samples with different elements first.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = [
            sample
            for sample in operator.samples(DTYPE, seed=seed, count=SAMPLES)
            if direction != "inplace" or not sample.broadcasts
        ]
    call_of = partial(directions.call_of, operator, direction=direction)
    telling = sorted(drawn, key=lambda sample: not _first_varies(sample))
    if form in shapes.SHAPES:
        made = (shapes.taken(call_of, sample, form) for sample in telling)
        return next((sample for sample in made if sample is not None), None)
    found = next((sample for sample in drawn if _stores(sample, form, direction)), None)
    shape = shapes.FOR_LAYOUTS.get(form)
    if found is None and shape is not None and operator.name not in shapes.UNCHECKED:
        made = (shapes.taken(call_of, sample, shape) for sample in telling)
        found = next((one for one in made if one and _stores(one, form, direction)), None)
    if found is None and (direction, form) == ("gradient", "expanded"):
        return next(iter(drawn), None)  # its upstream gradient is expanded
    return found


def _stores(sample: Sample, form: str, direction: str) -> bool:
    """Whether a tensor of more than one element is stored otherwise in this layout."""
    import torch

    given = sample.args[:1] if direction == "inplace" else (sample.args, dict(sample.kwargs))
    tensors = [one for one in walking.leaves(given) if isinstance(one, torch.Tensor)]
    if form == "contiguous":
        return True
    return any(_tells(one, form) for one in tensors)


def _tells(tensor: Any, form: str) -> bool:
    """Whether a kernel that takes the variant for contiguous would read other values."""
    import torch

    built = layouts.variant(tensor, form)
    if built is None or form == "expanded":
        return built is not None
    read = torch.as_strided(built, built.shape, torch.empty(built.shape).stride(), 0)
    return not torch.equal(read, built)


def _varies(tensor: Any) -> bool:
    """Whether two of its elements differ: else it shows nothing where they change places."""
    import torch

    if tensor.numel() <= 1 or tensor.layout is not torch.strided:
        return False
    flat = tensor.detach().reshape(-1)
    return bool((flat != flat[0]).any())


def _first_varies(sample: Sample) -> bool:
    import torch

    tensors = [one for one in walking.leaves(sample.args) if isinstance(one, torch.Tensor)]
    return bool(tensors) and _varies(tensors[0])
