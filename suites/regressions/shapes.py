"""Windows, padding, indices and odd lengths."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-160743", "avg_pool2d", "max_pool2d_with_indices")
def pooled_to_the_edge(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        if operator == "avg_pool2d":
            return functional.avg_pool2d(x, 2, stride=2, ceil_mode=True)
        return torch.ops.aten.max_pool2d_with_indices(x, 1, 2, 0, 1, True)

    case.check(call, case.randn(1, 1, 5, 7))


@regression("pytorch-80192", "one_column", "bottom", "replicate", "nothing")
def padded(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        if operator == "one_column":
            return functional.pad(x[:, :1].contiguous(), (1, 1, 1, 1))
        if operator == "bottom":
            return functional.pad(x, (0, 0, 0, 1))
        if operator == "replicate":
            return functional.pad(x.unsqueeze(0), (1, 2, 0, 1), mode="replicate")
        return functional.pad(x, [])

    case.check(call, case.randn(2, 3))


@regression("pytorch-121557")
def number_scattered(case: Case) -> None:
    def call(x: Any) -> Any:
        return torch.zeros_like(x).scatter_(1, x.topk(2, dim=1).indices, 1.0)

    case.check(call, case.randn(4, 10, 1))


@regression("pytorch-126649", "irfft", "hfft", "fftfreq")
def odd_length(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        if operator == "fftfreq":
            return torch.fft.fftfreq(5, device=x.device, dtype=x.dtype)
        return getattr(torch.fft, operator)(torch.fft.rfft(x), 5)

    case.check(call, case.randn(5))


@regression("pytorch-190060", "sum", "mean", "max")
def bags_with_last_offset(case: Case, operator: str) -> None:
    offsets = [0, 2, 3]

    def call(index: Any, weight: Any, offsets: Any) -> Any:
        return functional.embedding_bag(
            index, weight, offsets, mode=operator, include_last_offset=True
        )

    def host(index: Any, weight: Any, _: Any) -> Any:
        # What stands behind the last offset belongs to no bag. torch's own float64 kernel on
        # the CPU adds it to the last bag, and its float32 kernel does not.
        bags = [weight[index[start:end]] for start, end in itertools.pairwise(offsets)]
        reduce = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}[operator]
        return torch.stack([reduce(one, dim=0) for one in bags])

    # A fourth index only for the sum: for the others the CPU does what float64 does.
    index = torch.tensor([0, 1, 2, 3] if operator == "sum" else [0, 1, 2])
    case.check_as(call, host, index, case.randn(4, 4), torch.tensor(offsets))


@regression("pytorch-189968", "index_copy_", "index_select", "embedding", "gather")
def index_out_of_range(case: Case, operator: str) -> None:
    def call(x: Any, index: Any, source: Any) -> Any:
        if operator == "embedding":
            return functional.embedding(index, x)
        if operator == "index_copy_":
            return x.index_copy_(0, index, source)
        if operator == "index_select":
            return x.index_select(0, index)
        return x.gather(0, index.reshape(-1, 1))

    case.refused(call, case.randn(4, 2), torch.tensor([1, 4]), case.randn(2, 2))


@regression("pytorch-103023", "padding_idx", "scale_grad_by_freq", "one_index")
def embedding_gradient(case: Case, operator: str) -> None:
    # "one_index" is an index without dimensions.
    options: dict[str, Any] = {}
    if operator == "padding_idx":
        options["padding_idx"] = 0
    elif operator == "scale_grad_by_freq":
        options["scale_grad_by_freq"] = True
    index = torch.tensor(2) if operator == "one_index" else torch.tensor([[0, 1, 1, 2]])

    def call(index: Any, weight: Any) -> Any:
        return functional.embedding(index, weight, **options)

    case.check_gradients(call, index, case.randn(5, 3))


@regression("pytorch-169236", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def output_padding_of_a_stride(case: Case, operator: str) -> None:
    lengths = (4,) * int(operator[-2])

    def call(x: Any, weight: Any) -> Any:
        return getattr(functional, operator)(x, weight, stride=2, output_padding=2)

    case.refused(call, case.randn(1, 2, *lengths), case.randn(2, 3, *lengths))
