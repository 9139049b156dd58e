"""Functions of arrays are judged by NumPy in float64; a wrong result is found."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_applesilicon import frameworks
from pytest_applesilicon.agreement import (
    array_calls,
    array_formulas,
    array_functions,
    array_judging,
    array_layouts,
    array_namespaces,
)
from pytest_applesilicon.agreement.array_functions import FUNCTIONS, Function, Operand

NUMPY = array_calls.place_of("numpy", "cpu")


def named(name: str) -> Function:
    return next(one for one in FUNCTIONS if one.name == name)


def outcome_with(monkeypatch, name: str, wrong, dtype: str = "float32"):
    """What becomes of a function whose result is changed."""
    function = named(name)
    own = array_functions.numpy_function(name)
    monkeypatch.setattr(
        array_calls, "function_of", lambda *_: lambda *args, **kwargs: wrong(own(*args, **kwargs))
    )
    return array_calls.check(NUMPY, function, dtype, "forward", 0)


# the table


def test_every_label_is_unique():
    labels = [array_functions.label(one) for one in FUNCTIONS]

    assert len(set(labels)) == len(labels)


def test_every_function_has_a_reference_in_float64():
    for function in FUNCTIONS:
        for dtype in function.dtypes:
            operands = array_functions.draw(function, dtype, 0)
            result = np.asarray(function.reference(*operands))
            if result.dtype.kind in "fc":
                assert np.isfinite(result).all(), function.name


def test_draws_are_repeated_by_the_seed_and_differ_between_functions():
    first, again = (array_functions.draw(named("add"), "float32", 3) for _ in range(2))
    other = array_functions.draw(named("subtract"), "float32", 3)

    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_a_definite_operand_is_definite_and_an_index_stays_in_range():
    definite = array_functions.draw(named("cholesky"), "float32", 0)[0]
    index = array_functions.draw(named("take"), "float32", 0)[1]

    assert np.linalg.eigvalsh(definite).min() > 0
    assert index.dtype == np.int32
    assert index.min() >= 0
    assert index.max() < 4


def test_formulas_are_what_they_say():
    x = np.array([[-1.0, 0.0, 2.0]])

    assert array_formulas.softmax(x).sum() == pytest.approx(1)
    assert np.exp(array_formulas.log_softmax(x)) == pytest.approx(array_formulas.softmax(x))
    assert array_formulas.softplus(x) == pytest.approx(np.logaddexp(0, x))
    assert array_formulas.sigmoid(np.array(0.0)) == 0.5
    assert array_formulas.relu(x).tolist() == [[0.0, 0.0, 2.0]]


def test_convolution_is_the_sum_over_its_window():
    images = np.arange(2 * 4 * 5 * 3.0).reshape(2, 4, 5, 3)
    kernel = np.arange(2 * 3 * 3 * 2.0).reshape(2, 3, 3, 2)

    found = array_formulas.conv2d(images, kernel)

    window = images[1, 2:4, 1:4]
    assert found.shape == (2, 3, 3, 2)
    assert found[1, 2, 1, 1] == (window * kernel[..., 1]).sum()


# judging


def test_what_numpy_gives_agrees():
    for function in array_namespaces.functions_for("numpy"):
        for dtype in function.dtypes:
            if dtype == "bfloat16":
                continue
            found = array_calls.check(NUMPY, function, dtype, "forward", 0)
            assert found.outcome == "native", found.reason


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("exp", lambda result: result * np.float32(1 + 2**-20), "times what is allowed"),
        ("matmul", lambda result: np.concatenate([result[:-1], 0 * result[-1:]]), "outside"),
        ("matmul", lambda result: result[:-1], "the result has the shape (4, 4), not (5, 4)"),
        ("sum", lambda result: result.astype(np.float16).astype(np.float32), "allowed"),
        ("sin", lambda result: np.where(result > 0, np.nan, result), "nan"),
        ("fft", lambda result: result.conj(), "times what is allowed"),
        ("tanh", lambda result: result.astype(np.float64), "float64, not float32"),
        ("isfinite", lambda result: ~result, "1 ULP off"),
        ("argmax", lambda result: result + 1, "outside"),
        ("less", lambda result: result.astype(np.int32), "the result is int32, not bool"),
    ],
)
def test_a_wrong_result_is_wrong(monkeypatch, name, wrong, says):
    dtype = "complex64" if name == "fft" else "float32"
    if name == "fft" and np.lib.NumpyVersion(np.__version__) < "2.0.0":
        pytest.skip("NumPy before 2.0 has no Fourier transform in single precision")

    found = outcome_with(monkeypatch, name, wrong, dtype)

    assert found.outcome == "wrong"
    assert says in found.reason


def test_one_wrong_element_of_integers_is_found(monkeypatch):
    def one_more(result):
        result = result.copy()
        result.flat[2] += 1
        return result

    found = outcome_with(monkeypatch, "multiply", one_more, "int32")

    assert found.outcome == "wrong"
    assert "1 of 21 elements" in found.reason


def test_a_missing_function_and_a_missing_kernel_are_unsupported(monkeypatch):
    with pytest.raises(array_namespaces.LackingError, match="numpy has no conv9d"):
        array_namespaces.function_of("numpy", "conv9d")

    def lacking(result):
        raise ValueError("[linalg::qr] This op is not yet supported on the GPU.")

    found = outcome_with(monkeypatch, "exp", lacking)

    assert (found.outcome, found.reason[:12]) == ("unsupported", "ValueError: ")


def test_an_error_that_names_no_missing_kernel_is_wrong(monkeypatch):
    def broken(result):
        raise RuntimeError("command buffer exited with error status")

    found = outcome_with(monkeypatch, "exp", broken)

    assert found.outcome == "wrong"
    assert "raised RuntimeError: command buffer exited" in found.reason


def test_what_ran_elsewhere_is_a_fallback(monkeypatch):
    monkeypatch.setattr(array_calls, "moved_to", lambda place, result: "CPU:0")

    found = array_calls.check(NUMPY, named("exp"), "float32", "forward", 0)

    assert (found.outcome, found.reason) == ("fallback", "ran on CPU:0")


def test_host_memory_of_a_gpu_kernel_is_elsewhere():
    class Result:
        device = "/job:localhost/replica:0/task:0/device:GPU:0"
        backing_device = "/job:localhost/replica:0/task:0/device:CPU:0"

    class Adapter:
        name = "tensorflow"

        def facts(self, array):
            return None

        def device(self, spec):
            return "/GPU:0"

    place = array_calls.Place(Adapter(), "mps")
    assert array_calls.moved_to(place, Result()) == "CPU:0"
    Result.backing_device = Result.device
    assert array_calls.moved_to(place, Result()) == ""


def test_cancellation_widens_the_envelope_and_a_larger_error_is_still_found():
    # The difference of near numbers: each of the operands is known to an epsilon only.
    left, right = np.array([1.0000001, 2.0]), np.array([1.0, -2.0])
    exact = left - right
    within = exact + np.array([2.0**-23, 0])
    beyond = exact + np.array([2.0**-19, 0])

    judge = array_judging.judge_call
    assert judge(within, np.subtract, [left, right], "float32").agrees
    assert not judge(beyond, np.subtract, [left, right], "float32").agrees


def test_gradients_by_differences_are_those_of_analysis():
    x, y = np.array([0.3, 1.2, 2.5]), np.array([1.5, 0.7, 0.2])
    upstream = np.array([1.0, -2.0, 0.5])

    by_x, by_y = array_judging.gradients(lambda a, b: np.sin(a) * b**2, [x, y], upstream)

    assert by_x == pytest.approx(upstream * np.cos(x) * y**2, rel=1e-10)
    assert by_y == pytest.approx(upstream * np.sin(x) * 2 * y, rel=1e-10)


def test_integers_have_no_gradient():
    found = array_judging.gradients(lambda a, i: a[i], [np.ones(3), np.array([1])], np.ones(1))

    assert found[0].tolist() == pytest.approx([0, 1, 0])
    assert found[1] is None


@pytest.mark.parametrize("name", array_calls.WITH_GRADIENTS)
def test_a_gradient_that_is_one_percent_short_is_wrong(name, monkeypatch):
    if not frameworks.is_installed(name):
        pytest.skip(f"{name} is not installed")
    place = array_calls.place_of(name, "cpu")
    right = array_calls.check(place, named("tanh"), "float32", "gradient", 0)
    vjp = array_calls._VJPS[name]

    def short(called, arrays, upstream):
        result, found = vjp(called, arrays, upstream)
        return result, [one * 0.99 for one in found]

    monkeypatch.setitem(array_calls._VJPS, name, short)
    wrong = array_calls.check(place, named("tanh"), "float32", "gradient", 0)

    assert (right.outcome, wrong.outcome) == ("native", "wrong")


def test_tensorflow_says_what_cannot_be_placed():
    if not frameworks.is_installed("tensorflow"):
        pytest.skip("tensorflow is not installed")
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    place = array_calls.place_of("tensorflow", "mps")
    before = tf.config.get_soft_device_placement()

    with pytest.raises(array_namespaces.LackingError):
        array_calls.forward(place, named("exp"), [tf.ones(3)])

    assert tf.config.get_soft_device_placement() == before


# layouts


@pytest.mark.parametrize("layout", array_layouts.LAYOUTS)
def test_a_layout_has_the_values_and_is_stored_otherwise(layout):
    values = array_layouts.same_values(np.arange(12, dtype=np.float32).reshape(3, 4), layout)

    found = array_layouts.view(frameworks.load("numpy"), "cpu", values, None, layout)

    assert np.array_equal(found, values)
    assert found.base is not None
    strided = found.strides != values.strides
    assert strided or layout == "offset"


def test_an_array_of_one_dimension_has_no_transposed_layout():
    found = array_layouts.view(frameworks.load("numpy"), "cpu", np.ones(3), None, "transposed")

    assert found is None


def test_a_function_that_ignores_strides_is_found():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    viewed = array_layouts.view(frameworks.load("numpy"), "cpu", values, None, "transposed")
    ignoring = np.ascontiguousarray(viewed.T).reshape(viewed.shape)

    judged = array_judging.judge_call(np.exp(ignoring), np.exp, [values.astype(float)], "float32")

    assert not judged.agrees


def test_integers_are_drawn_in_their_dtype():
    operand = Operand((2, 2), 0, 1)

    assert array_functions._operand(operand, "uint8", np.random.default_rng(0)).dtype == np.uint8
