"""Bringing results to the host as they are stored, with what is pending carried out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from pytest_applesilicon.agreement.walking import mapped, to_host  # noqa: E402

VALUES = [1.0, -2.0, 0.5]

STORED = {
    "plain": torch.tensor(VALUES),
    "half": torch.tensor(VALUES, dtype=torch.float16),
    "bfloat16": torch.tensor(VALUES, dtype=torch.bfloat16),
    "double": torch.tensor(VALUES, dtype=torch.float64),
    "with a graph": torch.tensor(VALUES, requires_grad=True) * 1,
    "double with a graph": torch.tensor(VALUES, dtype=torch.float64, requires_grad=True) * 1,
    "strided": torch.tensor([VALUES, VALUES]).T[:, 0],
    "sparse": torch.tensor(VALUES).to_sparse(),
    "negative view": torch.tensor([-1j * one for one in VALUES]).conj().imag,
}


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("widened", [True, False])
def test_host_array_has_the_values_however_they_are_stored(name: str, widened: bool):
    found = to_host(STORED[name], widened=widened)

    assert found.tolist() == VALUES
    single = STORED[name].dtype is torch.float32 and not widened
    assert found.dtype == (np.float32 if single else np.float64)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantized_values_are_carried_out():
    quantized = torch.quantize_per_tensor(torch.tensor(VALUES), 0.5, 0, torch.qint8)

    assert to_host(quantized).tolist() == VALUES
    assert to_host(quantized).dtype == np.float64


@pytest.mark.parametrize(("widened", "dtype"), [(True, np.complex128), (False, np.complex64)])
def test_pending_conjugation_is_carried_out(widened: bool, dtype: type):
    found = to_host(torch.tensor([1 + 2j]).conj(), widened=widened)

    assert found.tolist() == [1 - 2j]
    assert found.dtype == dtype


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_whole_numbers_keep_their_dtype(dtype: str):
    found = to_host(torch.tensor([0, 1], dtype=getattr(torch, dtype)))

    assert (found.dtype, found.tolist()) == (np.dtype(dtype), [0, 1])


def test_what_is_no_tensor_is_an_array_where_it_is_a_number():
    assert to_host(2.5) == np.asarray(2.5)
    assert to_host("text") == "text"
    assert to_host(None) is None


def test_every_leaf_is_mapped_once_in_containers_of_any_depth():
    def double(one: object) -> object:
        return one * 2 if isinstance(one, int) else one

    assert mapped({"a": [1, (2, "x")], "b": 3}, double) == {"a": [2, (4, "x")], "b": 6}
