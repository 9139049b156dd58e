"""Sparse COO tensors on the simulated device, held against the CPU."""

from __future__ import annotations

import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks")

INDICES, VALUES = [[0, 1, 1, 2], [2, 0, 0, 1]], [2.0, 3.0, 4.0, -5.0]


def matrix(device: str) -> torch.Tensor:
    indices, values = torch.tensor(INDICES, device=device), torch.tensor(VALUES, device=device)
    return torch.sparse_coo_tensor(indices, values, (3, 4))


def dense(device: str, *shape: int) -> torch.Tensor:
    return torch.arange(1.0, 1 + torch.Size(shape).numel(), device=device).reshape(shape)


CALLS = {
    "to_dense": lambda s: s.to_dense(),
    "coalesce": lambda s: s.coalesce().values(),
    "indices": lambda s: s.coalesce().indices(),
    "mm": lambda s: s @ dense(s.device.type, 4, 2),
    "sparse.mm": lambda s: torch.sparse.mm(s, dense(s.device.type, 4, 2)),
    "dsmm": lambda s: torch.dsmm(s, dense(s.device.type, 4, 2)),
    "mv": lambda s: s @ dense(s.device.type, 4),
    "bmm": lambda s: torch.bmm(torch.stack([s, s]), dense(s.device.type, 2, 4, 2)),
    "transpose": lambda s: s.t().to_dense(),
    "add sparse": lambda s: (s + s * 2.0).to_dense(),
    "add dense": lambda s: dense(s.device.type, 3, 4) + s,
    "sum": lambda s: s.sum(),
    "sum of a dimension": lambda s: torch.sparse.sum(s, 0).to_dense(),
    "index_select": lambda s: s.index_select(0, torch.tensor([1], device=s.device)).to_dense(),
    "from dense": lambda s: dense(s.device.type, 3, 4).to_sparse().to_dense(),
    "cat": lambda s: torch.cat([s, s], 1).to_dense(),
    "clone": lambda s: s.clone().to_dense(),
    "to double and back": lambda s: s.int().float().to_dense(),
    "in place": lambda s: s.clone().coalesce().mul_(3.0).to_dense(),
    "zero_": lambda s: s.clone().zero_().to_dense(),
    "neg": lambda s: (-s).to_dense(),
    "empty": lambda s: (
        dense(s.device.type, 2, 3) + torch.sparse_coo_tensor(size=(2, 3), device=s.device)
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_what_the_cpu_gives(name):
    found, expected = CALLS[name](matrix("mps")), CALLS[name](matrix("cpu"))

    assert found.device == torch.device("mps:0")
    torch.testing.assert_close(found.cpu(), expected)


def test_a_sparse_tensor_and_its_parts_are_on_the_device():
    made = matrix("mps")

    assert (str(made.device), made.layout) == ("mps:0", torch.sparse_coo)
    assert {str(made._indices().device), str(made._values().device)} == {"mps:0"}
    assert (made._nnz(), made.is_coalesced(), made.coalesce()._nnz()) == (4, False, 3)


def test_it_goes_to_the_cpu_and_back():
    there = matrix("cpu").to("mps")

    assert (there.device.type, there.cpu().device.type) == ("mps", "cpu")
    torch.testing.assert_close(there.cpu().to_dense(), matrix("cpu").to_dense())


def test_gradients_are_those_of_the_cpu():
    found = {}
    for place in ("cpu", "mps"):
        values = torch.tensor(VALUES, device=place, requires_grad=True)
        other = dense(place, 4, 2).requires_grad_()
        made = torch.sparse_coo_tensor(torch.tensor(INDICES, device=place), values, (3, 4))
        torch.sparse.mm(made, other).square().sum().backward()
        found[place] = (values.grad.cpu(), other.grad.cpu())

    torch.testing.assert_close(found["mps"], found["cpu"])


def test_float64_is_refused():
    with pytest.raises(TypeError, match="doesn't support float64"):
        matrix("cpu").double().to("mps")
    with pytest.raises(TypeError, match="doesn't support float64"):
        matrix("mps").double()


def test_another_operator_raises_the_text_of_torch():
    with pytest.raises(NotImplementedError, match=r"aten::sinc.* from the 'SparseMPS' backend"):
        torch.sinc(matrix("mps"))
