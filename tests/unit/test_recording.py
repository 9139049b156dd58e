"""Recording calls: what is kept of each, and that what runs is not changed."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.audit import describing, recording  # noqa: E402


@pytest.fixture
def recorder():
    made = recording.Recorder(Path(__file__).parent)
    made.test = "t.py::first"
    yield made
    made.close()


def recorded(recorder, function):
    with recorder.watching():
        function()
    return {one.operator.removeprefix("aten::"): one for one in recorder.signatures}


def test_calls_that_look_the_same_are_one_signature(recorder):
    x = torch.ones(3)
    for test in ("a", "b", "b"):
        recorder.test = test
        with recorder.watching():
            torch.sin(x)

    (one,) = recorder.signatures

    assert (one.operator, one.calls, one.tests, one.first_test) == ("aten::sin", 3, 2, "a")
    assert one.args == ({"tensor": "float32", "shape": [3], "bytes": "AACAPwAAgD8AAIA/"},)


def test_dtype_shape_layout_and_gradient_tell_calls_apart(recorder):
    x = torch.ones(3, 2)
    with recorder.watching():
        for one in (x, x.double(), x[:2], x.t(), x.clone().requires_grad_()):
            torch.sin(one)

    sines = [one for one in recorder.signatures if one.operator == "aten::sin"]

    assert len(sines) == 5
    assert [one.gradient for one in sines] == [False] * 4 + [True]
    assert sines[3].args[0]["stride"] == [1, 2]


def test_calls_of_a_backward_pass_carry_a_gradient(recorder):
    x = torch.ones(2, requires_grad=True)

    found = recorded(recorder, lambda: torch.sin(x).sum().backward())

    assert found["cos"].gradient
    assert not recorded(recorder, lambda: torch.tan(torch.ones(2)))["tan"].gradient


def test_what_a_composite_calls_is_seen(recorder):
    x = torch.ones(3)
    found = recorded(recorder, lambda: x.put(torch.tensor([0]), torch.ones(1)))

    names = [name for name, _ in found["put"].called]

    assert names == ["clone", "put_"]
    assert "put_" not in found


def test_what_a_composite_calls_is_given_what_it_was_given_there(recorder):
    """A copy of the view would be dense, and ``clone`` calls another operator for that."""
    found = recorded(recorder, lambda: torch.nn.functional.pad(torch.ones(3, 3), (-1, -1)))

    (clone,) = [inner for name, inner in found["constant_pad_nd"].called if name == "clone"]

    assert [name for name, _ in clone] == ["empty_like", "copy_"]


def test_svd_is_one_call_and_its_values_alone_are_another(recorder):
    x = torch.eye(3)
    found = recorded(recorder, lambda: (torch.linalg.svd(x), torch.linalg.svdvals(x)))

    assert found["linalg_svd"].calls == 1
    assert found["_linalg_svd"].calls == 1


def test_after_closing_torch_is_as_before():
    before = torch.linalg.svd(torch.eye(2))
    made = recording.Recorder(Path())
    with made.watching():
        during = torch.linalg.svd(torch.eye(2))
    made.close()

    after = torch.linalg.svd(torch.eye(2))

    assert all(torch.equal(a, b) and torch.equal(b, c)
               for a, b, c in zip(before, during, after, strict=True))  # fmt: skip
    assert not torch._C._dispatch_has_kernel_for_dispatch_key("aten::linalg_svd", "AutogradCPU")


def test_results_and_gradients_are_those_without_it(recorder):
    def run():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.ReLU(), torch.nn.Dropout())
        x = torch.randn(2, 2, 8, requires_grad=True)
        y = model(x)
        (torch.linalg.svd(y)[1].sum() + torch.logsumexp(y, 1).sum()).backward()
        return [y, x.grad, *(one.grad for one in model.parameters())]

    plain = run()
    with recorder.watching():
        watched = run()

    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_the_line_is_that_of_the_caller_and_not_torch(recorder):
    found = recorded(recorder, lambda: torch.nn.functional.gelu(torch.ones(2)))

    assert found["gelu"].line.startswith("test_recording.py:")


def test_tensors_of_the_meta_device_are_no_calls(recorder):
    found = recorded(recorder, lambda: torch.ones(2, device="meta").sin())

    assert "sin" not in found


def test_what_is_given_no_tensor_and_makes_none_is_no_call_of_a_device(recorder):
    def run():
        torch.ops.aten.promote_types(torch.float32, torch.float64)
        torch.ops.aten.promote_types(torch.float32, torch.float64)
        torch.zeros(2)

    assert set(recorded(recorder, run)) == {"zeros"}


def test_sparse_tensors_and_symbolic_numbers_do_not_stop_it(recorder):
    found = recorded(recorder, lambda: torch.eye(3).to_sparse() @ torch.ones(3, 3))

    assert found["mm"].layout() == "sparse_coo"


def test_memory_is_bounded_however_many_shapes_there_are(recorder):
    with recorder.watching():
        for size in range(1, 600):
            torch.ones(size).sin()
    size = recorder.size

    with recorder.watching():
        for other in range(600, 3000):
            torch.ones(other).sin()

    assert recorder.size == size <= 2 * (recording.MOST + 2)
    assert sum(one.calls for one in recorder.signatures) == 2 * 2999


def test_calls_of_an_operator_with_many_shapes_are_counted_by_device_and_test(recorder):
    def counted():
        found = [one for one in recorder.signatures if one.operator == "aten::sin"]
        return sum(one.calls for one in found), sum(one.tests for one in found)

    def run(sizes, device="cpu"):
        with recorder.watching():
            for size in sizes:
                torch.empty(size, device=device).sin()

    recorder.test = "one"
    run(range(1, 2 * recording.MOST))
    calls, tests = counted()
    recorder.test = "another"
    run((5000, 5001))
    run((5002,), "meta")

    assert counted() == (calls + 2, tests + 1)


def test_a_call_that_raises_does_not_hide_those_after_it(recorder):
    with recorder.watching():
        for size in range(1, 2 * recording.MOST):
            torch.ones(size).add(torch.ones(size))
        with pytest.raises(RuntimeError):
            torch.ones(3000, dtype=torch.float64).add(torch.ones(2999, dtype=torch.float64))
        torch.ones(3000, dtype=torch.float64).add(torch.ones(3000, dtype=torch.float64))

    found = [one for one in recorder.signatures if one.operator == "aten::add.Tensor"]
    assert "float64" in {dtype for one in found for dtype in one.dtypes()}


def test_a_call_that_works_is_recorded_after_one_like_it_that_raised(recorder):
    x = torch.ones(3)
    with recorder.watching():
        with pytest.raises(IndexError):
            x.index_select(0, torch.tensor([5]))
        x.index_select(0, torch.tensor([1]))

    (one,) = [one for one in recorder.signatures if one.operator == "aten::index_select"]

    assert (one.calls, one.tests) == (2, 1)
    assert one.results == ("float32",)


def test_the_dtype_that_a_factory_makes_by_default_tells_its_calls_apart(recorder):
    before = torch.get_default_dtype()
    try:
        with recorder.watching():
            for dtype in (torch.float32, torch.float64):
                torch.set_default_dtype(dtype)
                torch.ones(3)
    finally:
        torch.set_default_dtype(before)

    found = [one.results for one in recorder.signatures if one.operator == "aten::ones"]

    assert found == [("float32",), ("float64",)]


@pytest.mark.parametrize(
    ("operator", "call"),
    [
        ("full", lambda size, dtype: torch.full((size,), 1, dtype=dtype)),
        ("cat", lambda size, dtype: torch.cat([torch.ones(size, dtype=dtype)] * 2)),
    ],
)
def test_of_an_operator_with_many_shapes_dtypes_are_told_apart(recorder, operator, call):
    with recorder.watching():
        for size in range(1, recording.MOST + 9):
            call(size, torch.float32)
        call(5000, torch.float64)

    found = {one.results for one in recorder.signatures if one.operator == f"aten::{operator}"}

    assert len(found) == 2


def test_inside_inference_mode_composites_are_taken_apart(recorder):
    def run():
        with torch.inference_mode():
            torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2))

    assert [name for name, _ in recorded(recorder, run)["linear"].called] == ["t", "matmul"]


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "mean", torch.float16, torch.channels_last, torch.strided,
     torch.device("cpu"), [1, 2], 1 + 2j],
    ids=str,
)  # fmt: skip
def test_plain_arguments_are_made_again(value):
    assert describing.make(describing.describe(value)) == value


def test_infinity_is_made_again():
    assert describing.make(describing.describe(float("-inf"))) == float("-inf")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(12).reshape(3, 4).t()[1:],
        torch.tensor([True, False]),
        torch.tensor(3),
        torch.randn(3, dtype=torch.complex64),
        torch.empty(0, 3),
        torch.ones(2, dtype=torch.bfloat16),
        torch.arange(3.0).expand(2, 3),
    ],
    ids=lambda one: f"{one.dtype}-{tuple(one.shape)}",
)
def test_small_tensors_are_made_again(tensor):
    made = describing.make(describing.describe(tensor))

    assert torch.equal(made, tensor)
    assert (made.stride(), made.storage_offset()) == (tensor.stride(), tensor.storage_offset())
    assert made.dtype is tensor.dtype


def test_large_tensors_are_drawn_between_the_same_limits():
    index = torch.randint(5, 9, (400,))

    made = describing.make(describing.describe(index))

    assert made.dtype is torch.int64
    assert made.shape == index.shape
    assert 5 <= made.min() <= made.max() <= 8


def test_what_cannot_be_made_again_is_said():
    sparse = describing.describe(torch.eye(3).to_sparse())

    with pytest.raises(describing.NotDescribedError, match="a tensor of layout sparse_coo"):
        describing.make(sparse)


def test_a_number_inside_of_a_composite_does_not_change_the_result(recorder):
    x = torch.tensor([5, 7])

    found = recorded(
        recorder, lambda: torch.testing.assert_close(torch.fmod(x, 4), torch.tensor([1, 3]))
    )

    assert [name for name, _ in found["fmod.Scalar"].called] == ["fmod.Tensor"]


def test_the_random_stream_is_that_without_it(recorder):
    torch.manual_seed(3)
    plain = [torch.randn(3), torch.bernoulli(torch.full((3,), 0.5)), torch.randperm(5)]
    torch.manual_seed(3)
    with recorder.watching():
        watched = [torch.randn(3), torch.bernoulli(torch.full((3,), 0.5)), torch.randperm(5)]

    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_a_composite_is_watched_once_for_the_sizes_that_call_the_same(recorder, monkeypatch):
    from pytest_applesilicon.audit import composites

    watched = []
    original = composites.Composites._watched

    def counted(self, func, args, kwargs):
        watched.append(func.name())
        return original(self, func, args, kwargs)

    monkeypatch.setattr(composites.Composites, "_watched", counted)
    with recorder.watching():
        for size in (2, 3, 4):
            torch.ones(size, 2).put(torch.tensor([0]), torch.ones(1))

    puts = [one for one in recorder.signatures if one.operator == "aten::put"]
    assert [[name for name, _ in one.called] for one in puts] == [["clone", "put_"]] * 3
    assert watched.count("aten::put") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(torch.ones(3), torch.ones(3, dtype=torch.int64), id="dtype"),
        pytest.param(torch.ones(3), torch.ones(0), id="nothing in it"),
        pytest.param(torch.ones(3, 2), torch.ones(2, 3).t(), id="strides"),
        pytest.param(torch.ones(3, 2), torch.ones(3), id="dimensions"),
    ],
)
def test_what_decides_what_a_composite_calls_is_told_apart(one, other):
    from pytest_applesilicon.audit.composites import Composites

    made, copy = Composites(torch), torch.ops.aten._to_copy.default

    assert made._pattern(copy, (one,), {}) != made._pattern(copy, (other,), {})
    assert made._pattern(copy, (one,), {}) == made._pattern(copy, (one.clone(),), {})


def test_composites_of_inference_mode_are_watched_for_each_size(recorder):
    """``cdist`` takes the products of matrices above 25 rows."""
    with torch.inference_mode(), recorder.watching():
        for size in (4, 30):
            torch.cdist(torch.ones(size, 2), torch.ones(size, 2))

    few, many = (one.called for one in recorder.signatures if one.operator == "aten::cdist")

    assert few != many


def test_arguments_that_are_no_plain_numbers_are_kept():
    class Size(int):
        pass

    facts = {"operator": "aten::sin", "args": (Size(3),)}

    assert recording._unpacked(recording._packed(facts)) == facts


def test_what_a_composite_calls_is_no_call_of_the_test_even_if_it_was_seen(recorder):
    x = torch.ones(1, 3)

    found = recorded(recorder, lambda: (x.select(1, 0), x.unbind(1)))

    assert [name for name, _ in found["unbind.int"].called] == ["select.int"]
    assert found["select.int"].calls == 1


class Placed(torch.Tensor):
    """A tensor that tells its device itself, as those of ``torch.export`` do."""

    @staticmethod
    def __new__(cls):
        return torch.Tensor._make_wrapper_subclass(
            cls, (2,), dtype=torch.float32, dispatch_device=True
        )

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        assert func is torch.ops.prim.device.default
        return torch.device("cpu")


def test_what_torch_has_outside_of_its_dispatcher_runs_and_is_no_call_of_a_device(recorder):
    placed = Placed()
    with recorder.watching():
        torch.ones(2)
        devices = [placed.device for _ in range(3)]

    assert devices == [torch.device("cpu")] * 3
    assert {one.operator for one in recorder.signatures} == {"aten::ones"}
