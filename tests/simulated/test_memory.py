"""Factories, views, copies, dtypes and placement on the simulated device."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from pathlib import Path

import numpy
import pytest
import torch

MPS = torch.device("mps:0")

FACTORIES = {
    "tensor": lambda d: torch.tensor([1.0, 2.0], device=d),
    "tensor_int": lambda d: torch.tensor([1, 2], device=d),
    "tensor_bool": lambda d: torch.tensor([True, False], device=d),
    "tensor_scalar": lambda d: torch.tensor(3.0, device=d),
    "as_tensor": lambda d: torch.as_tensor([1.0], device=d),
    "zeros": lambda d: torch.zeros(2, 3, device=d),
    "ones": lambda d: torch.ones(2, 3, device=d),
    "full": lambda d: torch.full((2, 3), 7.0, device=d),
    "arange": lambda d: torch.arange(5, device=d),
    "arange_float": lambda d: torch.arange(0.0, 1.0, 0.25, device=d),
    "linspace": lambda d: torch.linspace(0, 1, 5, device=d),
    "eye": lambda d: torch.eye(3, device=d),
    "zeros_like": lambda d: torch.zeros_like(torch.ones(2, device=d)),
    "ones_like": lambda d: torch.ones_like(torch.zeros(2, device=d)),
    "full_like": lambda d: torch.full_like(torch.zeros(2, device=d), 3),
    "new_zeros": lambda d: torch.ones(2, device=d).new_zeros(3),
    "new_ones": lambda d: torch.ones(2, device=d).new_ones(3),
    "new_full": lambda d: torch.ones(2, device=d).new_full((3,), 2.0),
    "new_tensor": lambda d: torch.ones(2, device=d).new_tensor([1.0, 2.0]),
    "tril_indices": lambda d: torch.tril_indices(3, 3, device=d),
    "triu_indices": lambda d: torch.triu_indices(3, 3, device=d),
    "from_numpy": lambda d: torch.from_numpy(numpy.ones(3, numpy.float32)).to(d),
    "complex": lambda d: torch.tensor([1 + 2j], device=d),
    "half": lambda d: torch.ones(2, dtype=torch.float16, device=d),
    "bfloat16": lambda d: torch.ones(2, dtype=torch.bfloat16, device=d),
    "int8": lambda d: torch.ones(2, dtype=torch.int8, device=d),
    "uint8": lambda d: torch.ones(2, dtype=torch.uint8, device=d),
    "empty_shape": lambda d: torch.zeros(0, 3, device=d),
    "range": lambda d: torch.cartesian_prod(torch.arange(2, device=d), torch.arange(2, device=d)),
    "vander": lambda d: torch.vander(torch.arange(3, device=d)),
    "bartlett": lambda d: torch.bartlett_window(5, device=d),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_a_factory_gives_what_the_cpu_gives_on_mps(name):
    made, expected = FACTORIES[name](MPS), FACTORIES[name]("cpu")

    assert made.device == MPS
    assert (made.shape, made.dtype, made.stride()) == (
        expected.shape,
        expected.dtype,
        expected.stride(),
    )
    assert torch.equal(made.cpu(), expected)


@pytest.mark.parametrize("name", ["empty", "rand", "randn", "empty_like", "rand_like"])
def test_a_factory_of_unknown_values_stands_on_mps(name):
    size = torch.ones(3, 4, device=MPS) if name.endswith("like") else (3, 4)
    made = getattr(torch, name)(size, device=MPS)

    assert (made.device, made.shape) == (MPS, (3, 4))


DOUBLES = {
    "tensor": lambda: torch.tensor([1.0], dtype=torch.float64, device=MPS),
    "zeros": lambda: torch.zeros(2, dtype=torch.float64, device=MPS),
    "to_device": lambda: torch.ones(2, dtype=torch.float64).to(MPS),
    "to_dtype": lambda: torch.ones(2, device=MPS).to(torch.float64),
    "double": lambda: torch.ones(2, device=MPS).double(),
    "numpy": lambda: torch.from_numpy(numpy.ones(2)).to(MPS),
    "complex128": lambda: torch.ones(2, dtype=torch.complex128).to(MPS),
    "arange": lambda: torch.arange(3, dtype=torch.float64, device=MPS),
    "module": lambda: torch.nn.Linear(2, 2).double().to(MPS),
    "sum": lambda: torch.ones(2, device=MPS).sum(dtype=torch.float64),
}


@pytest.mark.parametrize("name", DOUBLES)
def test_double_precision_is_refused_with_the_text_of_mps(name):
    with pytest.raises(TypeError, match="doesn't support float64"):
        DOUBLES[name]()


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_8_bit_floats_are_refused(dtype):
    with pytest.raises(TypeError, match=r"Trying to convert Float8_.* does not have support"):
        torch.ones(2).to(getattr(torch, dtype)).to(MPS)


def test_there_is_one_device():
    assert torch.mps.device_count() == torch.accelerator.device_count() == 1
    with pytest.raises(RuntimeError, match="mps:1"):
        torch.zeros(2, device="mps:1")


def test_copies_between_the_devices_keep_values_and_strides():
    host = torch.arange(6.0).reshape(2, 3).t()
    there = host.to("mps")

    assert there.stride() == host.stride()
    assert torch.equal(there.to("cpu"), host)
    assert there.to("mps") is there


def test_channels_last_survives():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last).to("mps")

    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.nn.functional.conv2d(x, torch.randn(4, 3, 1, 1, device="mps")).is_contiguous(
        memory_format=torch.channels_last
    )


VIEWS = {
    "transpose": lambda x: x.t(),
    "slice": lambda x: x[::2],
    "offset": lambda x: x[1:, 1:],
    "select": lambda x: x[1],
    "expand": lambda x: x[:1].expand(5, 4),
    "view": lambda x: x.view(2, 6),
    "diagonal": lambda x: x.diagonal(),
    "unfold": lambda x: x.unfold(1, 2, 1),
    "as_strided": lambda x: x.as_strided((2, 2), (1, 2), 1),
    "view_dtype": lambda x: x.view(torch.int32),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "narrow": lambda x: x.narrow(0, 1, 2),
    "squeeze": lambda x: x[:1].squeeze(0),
    "permute": lambda x: x.reshape(3, 2, 2).permute(2, 0, 1),
    "unbind": lambda x: x.unbind(1)[2],
    "detach": lambda x: x.detach(),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shares_memory_and_a_write_through_it_is_seen(name):
    base, expected = torch.arange(12.0, device=MPS).reshape(3, 4), torch.arange(12.0).reshape(3, 4)
    view, reference = VIEWS[name](base), VIEWS[name](expected)

    assert view.untyped_storage().data_ptr() == base.untyped_storage().data_ptr()
    assert (view.stride(), view.storage_offset()) == (
        reference.stride(),
        reference.storage_offset(),
    )
    if name != "expand":
        view.fill_(3)
        reference.fill_(3)
    assert torch.equal(base.cpu(), expected)
    assert (view._base is None) == (reference._base is None)


def test_a_write_through_a_view_raises_the_version():
    base = torch.zeros(4, device=MPS)
    before = base._version
    base[1:].add_(1)

    assert base._version > before


def test_items_are_set_and_read_with_masks_indices_and_slices():
    x, y = torch.arange(12.0, device=MPS).reshape(3, 4), torch.arange(12.0).reshape(3, 4)
    for t in (x, y):
        t[0] = 1.0
        t[t > 8] = -1
        t[:, 1:3] = torch.ones(2, device=t.device)
        t[torch.tensor([1, 2], device=t.device), 0] = 5.0

    assert torch.equal(x.cpu(), y)
    assert torch.equal(x[torch.tensor([2, 0])].cpu(), y[[2, 0]])
    assert torch.equal(x[x > 0].cpu(), y[y > 0])


def test_out_and_resize():
    out = torch.empty(0, device=MPS)
    torch.add(torch.ones(3, device=MPS), 1, out=out)
    full = torch.empty(2, 2, device=MPS)
    torch.mm(torch.eye(2, device=MPS), torch.ones(2, 2, device=MPS), out=full)

    assert out.tolist() == [2, 2, 2]
    assert full.tolist() == [[1, 1], [1, 1]]
    assert full.resize_(3, 3).shape == (3, 3)
    assert full.flatten()[:4].tolist() == [1, 1, 1, 1]


def test_an_out_of_another_shape_is_resized_with_torchs_warning():
    out = torch.ones(5, device=MPS)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        torch.add(torch.ones(7, device=MPS), 1, out=out)

    assert out.tolist() == [2] * 7


def test_an_out_without_elements_grows_in_the_memory_it_views():
    whole = torch.zeros(5, device="mps")
    torch.arange(-2.0, 0.0, out=whole[3:3])

    assert whole.tolist() == [0, 0, 0, -2, -1]
    assert torch.fft.fftfreq(5, device="mps").mul(5).tolist() == [0, 1, 2, -2, -1]


def test_tensors_without_elements():
    x = torch.zeros(0, 3, device=MPS)

    assert x.sum().item() == 0
    assert (x @ torch.ones(3, 2, device=MPS)).shape == (0, 2)
    assert torch.cat([x, torch.ones(1, 3, device=MPS)]).shape == (1, 3)
    assert x.cpu().shape == x.clone().shape == (0, 3)


def test_mixed_devices_are_refused():
    with pytest.raises(RuntimeError, match=r"same device.*mps:0 and cpu"):
        torch.ones(2, device=MPS) + torch.ones(2)
    with pytest.raises(RuntimeError, match="mps"):
        torch.ones(2, 2, device=MPS) @ torch.ones(2, 2)
    with pytest.raises(RuntimeError, match=r"mps|MPS"):
        torch.nn.Linear(2, 2).to(MPS)(torch.ones(2, 2))


def test_a_scalar_tensor_of_the_cpu_is_taken():
    assert (torch.ones(2, device=MPS) * torch.tensor(3.0)).tolist() == [3, 3]


def test_numpy_needs_a_copy_first():
    with pytest.raises(TypeError, match="can't convert mps:0 device type tensor to numpy"):
        torch.ones(2, device=MPS).numpy()
    assert numpy.asarray(torch.ones(2, device=MPS).cpu()).sum() == 2


MAPS = {
    "none": (None, "mps"),
    "cpu": ("cpu", "cpu"),
    "mps": ("mps", "mps"),
    "device": (torch.device("mps"), "mps"),
    "function": (lambda storage, place: storage, "cpu"),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_saved_tensor_is_loaded_where_map_location_says(name):
    location, kind = MAPS[name]
    buffer = io.BytesIO()
    torch.save({"x": torch.arange(4.0, device=MPS)[1:]}, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, map_location=location)["x"]

    assert loaded.device.type == kind
    assert loaded.cpu().tolist() == [1, 2, 3]


def test_a_cpu_file_is_loaded_to_mps():
    buffer = io.BytesIO()
    torch.save(torch.ones(3), buffer)
    buffer.seek(0)

    assert torch.load(buffer, map_location="mps").device == MPS


def test_saved_tensors_that_share_memory_still_do():
    buffer = io.BytesIO()
    base = torch.zeros(4, device=MPS)
    torch.save([base, base[2:]], buffer)
    buffer.seek(0)
    first, second = torch.load(buffer)
    second.fill_(1)

    assert first.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_copies_of_objects_stay_on_mps(way):
    x = torch.arange(3.0, device=MPS)
    made = pickle.loads(pickle.dumps(x)) if way == "pickle" else copy.deepcopy(x)

    assert made.device == MPS
    assert made.tolist() == [0, 1, 2]


def test_memory_is_freed():
    def bytes_in_use():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    def turn():
        torch.ones(1000, 1000, device=MPS).add(1).t().contiguous()

    # What the allocator keeps for the next time, some ten tensors, is there before.
    for _ in range(50):
        turn()
    gc.collect()
    before = bytes_in_use()
    for _ in range(100):
        turn()
    gc.collect()

    one_of_each_turn = 100 * 4e6
    assert bytes_in_use() - before < one_of_each_turn / 4


def test_pinned_memory():
    pinned = torch.ones(4).pin_memory()

    assert pinned.is_pinned()
    assert not torch.ones(4).is_pinned()
    assert pinned.to("mps", non_blocking=True).tolist() == [1, 1, 1, 1]


def test_a_tensor_shows_its_device():
    assert repr(torch.ones(2, device=MPS)) == "tensor([1., 1.], device='mps:0')"
    assert torch.ones(1, device=MPS).type() == "torch.mps.FloatTensor"
    assert torch.ones(1, device=MPS).is_mps


def test_shared_memory_can_be_asked_for():
    shared = torch.ones(3).share_memory_()

    assert shared.to("mps").tolist() == [1, 1, 1]


def test_lazy_conjugates_and_negatives_are_kept():
    x = torch.tensor([1 + 2j, 3 - 1j], device=MPS)

    assert x.conj().tolist() == [1 - 2j, 3 + 1j]
    assert (x.conj() @ x).item() == torch.vdot(x.cpu(), x.cpu()).item()
    assert x.conj().imag.tolist() == [-2, 1]
    assert torch.equal(torch.fft.fft(x.conj()).cpu(), torch.fft.fft(x.cpu().conj()))


def test_complex_numbers_are_viewed_as_real():
    x = torch.tensor([1 + 2j], device=MPS)
    torch.view_as_real(x)[0, 0] = 5

    assert x.tolist() == [5 + 2j]
