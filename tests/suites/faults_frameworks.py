"""Faults of TensorFlow, MLX, JAX and NumPy, and what of their suites must notice each.

As in ``faults``: a fault is installed into the process that runs the suites and reaches what they
judge, not what they judge it by. Each names the framework it is of; frameworks are imported where
a fault is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

CURVE = "training/test_dense_curve.py::test_steps_agree_with_numpy"
FIRST_STEP = "training/test_dense_curve.py::test_first_step_moves_every_weight_as_numpy_does"
KERAS = "training/test_keras.py::test_mlp_learns_digits_and_predicts_the_same_after_saving"
KERAS_TRANSFER = "training/test_keras.py::test_features_are_transferred_to_other_digits"
MLX = "training/test_mlx.py::test_network_learns_digits_and_predicts_the_same_after_saving"
MLX_TRANSFER = "training/test_mlx.py::test_features_are_transferred_to_other_digits"
JAX = "training/test_jax.py::test_mlp_learns_digits"
EPOCH = "benchmarks/test_framework_epoch.py::test_mlp_epoch"
FORWARD = "arrays/test_functions.py::test_forward"
GRADIENT = "arrays/test_functions.py::test_gradient"
LAYOUT = "arrays/test_layouts.py::test_layout"
EDGES = "arrays/test_edge_values.py::test_edge_values"
FACTORS = "arrays/test_linear_algebra.py::test_factors_make_the_matrix_again"
ILL = "arrays/test_linear_algebra.py::test_ill_conditioned_system_has_a_small_residual"
AROUND = "around/test_around_torch.py::"
PRECISE = "arrays/test_precision.py::"

#: The step that an optimizer leaves out, counted from 0.
SKIPPED = 3


@dataclass(frozen=True)
class FrameworkFault(Fault):
    """A fault of one framework."""

    framework: str = ""
    needs: tuple[str, ...] = ()
    """Modules without which its tests are skipped."""


def few(*names: str) -> tuple[str, ...]:
    """Options that leave these functions of arrays, in float32."""
    return ("--dtypes=float32", f"--ops=^({'|'.join(names)})$")


# layers whose results are rounded


def keras_dense_in_bfloat16(patch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf
    from tensorflow import keras

    own = keras.layers.Dense.call

    # Keras looks at the names of the arguments.
    def call(self: Any, inputs: Any, training: Any = None) -> Any:
        return tf.cast(tf.cast(own(self, inputs, training), tf.bfloat16), tf.float32)

    patch.setattr(keras.layers.Dense, "call", call)


def mlx_linear_in_bfloat16(patch: pytest.MonkeyPatch) -> None:
    import mlx.core as mx
    from mlx import nn

    call = nn.Linear.__call__
    patch.setattr(
        nn.Linear,
        "__call__",
        lambda self, x: call(self, x).astype(mx.bfloat16).astype(mx.float32),
    )


def jax_matmul_in_bfloat16(patch: pytest.MonkeyPatch) -> None:
    import jax.numpy as jnp

    multiply = jnp.matmul
    patch.setattr(
        jnp, "matmul", lambda a, b: multiply(a, b).astype(jnp.bfloat16).astype(jnp.float32)
    )


# optimizers that leave out a step, or all


def keras_skips(count: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Steps of one network from the given one on, at most one."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from tensorflow import keras

        train = keras.Model.train_on_batch
        seen: dict[int, int] = {}

        def one(self: Any, images: Any, labels: Any) -> Any:
            seen[id(self)] = seen.get(id(self), -1) + 1
            if seen[id(self)] == count:
                return self.test_on_batch(images, labels)
            return train(self, images, labels)

        patch.setattr(keras.Model, "train_on_batch", one)

    return install


def keras_never_steps(patch: pytest.MonkeyPatch) -> None:
    from tensorflow import keras

    patch.setattr(keras.optimizers.Adam, "update_step", lambda *args: None)


def mlx_skips(once: bool) -> Callable[[pytest.MonkeyPatch], None]:
    def install(patch: pytest.MonkeyPatch) -> None:
        from mlx import optimizers

        update = optimizers.Optimizer.update
        seen: dict[int, int] = {}

        def one(self: Any, model: Any, gradients: Any) -> None:
            seen[id(self)] = seen.get(id(self), -1) + 1
            if once and seen[id(self)] != SKIPPED:
                update(self, model, gradients)

        patch.setattr(optimizers.Optimizer, "update", one)

    return install


def jax_skips(once: bool) -> Callable[[pytest.MonkeyPatch], None]:
    def install(patch: pytest.MonkeyPatch) -> None:
        import jax
        import jax.numpy as jnp
        from jax.example_libraries import optimizers

        def wrapped(make: Any) -> Any:
            def made(*args: Any) -> Any:
                begin, update, read = make(*args)

                def one(count: Any, gradients: Any, state: Any) -> Any:
                    new = update(count, gradients, state)
                    left_out = count == SKIPPED if once else True
                    return jax.tree.map(lambda a, b: jnp.where(left_out, a, b), state, new)

                return begin, one, read

            return made

        for name in ("momentum", "adam"):
            patch.setattr(optimizers, name, wrapped(getattr(optimizers, name)))

    return install


# what is loaded


def keras_loads_one_weight_off(patch: pytest.MonkeyPatch) -> None:
    from tensorflow import keras

    load = keras.models.load_model

    def loaded(file: Any) -> Any:
        import numpy as np

        network = load(file)
        weights = network.get_weights()
        weights[0][5, 5] = np.nextafter(weights[0][5, 5], np.float32(1))
        network.set_weights(weights)
        return network

    patch.setattr(keras.models, "load_model", loaded)


def mlx_loads_nothing(patch: pytest.MonkeyPatch) -> None:
    from mlx import nn

    patch.setattr(nn.Module, "load_weights", lambda self, file: self)


def mlx_freezes_nothing(patch: pytest.MonkeyPatch) -> None:
    from mlx import nn

    patch.setattr(nn.Module, "freeze", lambda self, **kwargs: self)


# functions of arrays: what the framework gives is changed


def results(change: Callable[[Any, Any], Any], *names: str) -> Callable[[pytest.MonkeyPatch], None]:
    """The results of functions are ``change(adapter, array)``; of all where none is named."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon import frameworks
        from pytest_applesilicon.agreement import array_calls

        function_of = array_calls.function_of

        def changed(framework: str, name: str) -> Any:
            own = function_of(framework, name)
            adapter = frameworks.load(framework)
            if names and name not in names:
                return own
            return lambda *args, **kwargs: change(adapter, own(*args, **kwargs))

        patch.setattr(array_calls, "function_of", changed)

    return install


def _in_half(adapter: Any, array: Any) -> Any:
    return adapter.to_device(adapter.to_host(array).astype("float16").astype("float32"), "cpu")


def _without_last_row(adapter: Any, array: Any) -> Any:
    values = adapter.to_host(array).astype("float32")
    values[-1] = 0
    return adapter.to_device(values, "cpu")


def _no_nan(adapter: Any, array: Any) -> Any:
    import numpy as np

    values = adapter.to_host(array).astype("float32")
    return adapter.to_device(np.nan_to_num(values), "cpu")


def gradients_short(patch: pytest.MonkeyPatch) -> None:
    from pytest_applesilicon.agreement import array_calls

    for name, vjp in dict(array_calls._VJPS).items():

        def short(called: Any, arrays: Any, upstream: Any, vjp: Any = vjp) -> Any:
            result, found = vjp(called, arrays, upstream)
            return result, [one * 0.99 for one in found]

        patch.setitem(array_calls._VJPS, name, short)


def strides_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """A kernel reads the storage of a view in order: rows of the view come out turned round."""
    from pytest_applesilicon.agreement import array_layouts

    view = array_layouts.view

    def misread(framework: Any, spec: str, values: Any, dtype: Any, layout: str) -> Any:
        found = view(framework, spec, values, dtype, layout)
        if found is None:
            return None
        host = framework.to_host(found).astype("float32")
        return framework.to_device(host.ravel()[::-1].reshape(host.shape).copy(), spec, dtype)

    patch.setattr(array_layouts, "view", misread)


def factors_in_half(patch: pytest.MonkeyPatch) -> None:
    import sys

    module = next(
        one for name, one in sys.modules.items() if name.endswith("arrays.test_linear_algebra")
    )
    own = module.decompose
    patch.setattr(
        module,
        "decompose",
        lambda *args: [one.astype("float16").astype("float64") for one in own(*args)],
    )


def numpy_in_single(patch: pytest.MonkeyPatch) -> None:
    """NumPy computes float64 in float32."""
    import sys

    import numpy as np

    def narrow(function: Any) -> Any:
        def call(*args: Any) -> Any:
            single = [np.asarray(one) for one in args]
            single = [
                one.astype("complex64" if one.dtype.kind == "c" else "float32") for one in single
            ]
            return function(*single).astype(
                "complex128" if single[0].dtype.kind == "c" else "float64"
            )

        return call

    module = next(
        one for name, one in sys.modules.items() if name.endswith("arrays.test_precision")
    )
    function = module.numpy_function
    patch.setattr(module, "numpy_function", lambda name: narrow(function(name)))
    patch.setattr(np, "matmul", narrow(np.matmul))
    patch.setattr(np.fft, "fft", narrow(np.fft.fft))
    patch.setattr(np.linalg, "solve", narrow(np.linalg.solve))


# around torch


def adam_does_nothing(patch: pytest.MonkeyPatch) -> None:
    import torch

    patch.setattr(torch.optim.Adam, "step", lambda self, closure=None: closure and closure())


def results_in_bfloat16(patch: pytest.MonkeyPatch) -> None:
    """What a module gives on the device is rounded; what the host gives is not."""
    import torch

    from pytest_applesilicon.agreement import functions, walking

    run = functions._run

    def rounded(one: Any) -> Any:
        return one.bfloat16().float() if isinstance(one, torch.Tensor) else one

    patch.setattr(functions, "_run", lambda *args: walking.mapped(run(*args), rounded))


def relu_is_left_out(patch: pytest.MonkeyPatch) -> None:
    import torch

    patch.setattr(torch.nn, "ReLU", torch.nn.Identity)


def _of(framework: str, *found: dict[str, Any]) -> list[FrameworkFault]:
    return [FrameworkFault(**{**one, "framework": framework}) for one in found]


def _arrays(framework: str) -> list[FrameworkFault]:
    """The faults of functions of arrays, which are the same for each framework."""
    with_gradients: list[dict[str, Any]] = [
        {
            "name": f"{framework}-gradients-fall-short",
            "what": "gradients are one percent short",
            "fails": {GRADIENT: "times what is allowed"},
            "install": gradients_short,
            "options": few("exp", "tanh"),
        }
    ]
    return _of(
        framework,
        {
            "name": f"{framework}-matmul-lacks-its-last-row",
            "what": "the last row of a matrix product is not written",
            "fails": {FORWARD: "times what is allowed", LAYOUT: "times what is allowed"},
            "install": results(_without_last_row, "matmul"),
            "options": few("matmul"),
            "only": "test_forward or test_layout",
        },
        {
            "name": f"{framework}-results-in-half",
            "what": "results are rounded to float16",
            "fails": {FORWARD: "times what is allowed", ILL: "the residual is"},
            "install": results(_in_half),
            "options": few("exp", "sum", "solve"),
            "only": "test_forward or test_ill",
        },
        {
            "name": f"{framework}-nan-is-lost",
            "what": "NaN becomes zero",
            "fails": {EDGES: "of [nan]"},
            "install": results(_no_nan),
            "options": few("exp", "sin"),
        },
        {
            "name": f"{framework}-strides-are-ignored",
            "what": "a view is read as if its storage were its values",
            "fails": {LAYOUT: "times what is allowed"},
            "install": strides_are_ignored,
            "options": few("exp"),
        },
        {
            "name": f"{framework}-factors-in-half",
            "what": "the factors of a decomposition are rounded to float16",
            "fails": {FACTORS: "off, allowed"},
            "install": factors_in_half,
        },
        *(with_gradients if framework != "numpy" else []),
    )


#: Of TensorFlow, which takes long to import, those that reach every test of functions it computes;
#: how the others are judged is the same for each framework.
_OF_TENSORFLOW = ("matmul-lacks-its-last-row", "gradients-fall-short")


FAULTS: tuple[FrameworkFault, ...] = (
    *(one for name in ("mlx", "jax", "numpy") for one in _arrays(name)),
    *(one for one in _arrays("tensorflow") if one.name.endswith(_OF_TENSORFLOW)),
    *_of(
        "tensorflow",
        {
            "name": "keras-layer-is-rounded",
            "what": "dense layers are rounded to bfloat16",
            "fails": {CURVE: "the loss is", FIRST_STEP: "after one step weight"},
            "install": keras_dense_in_bfloat16,
        },
        {
            "name": "keras-step-is-skipped",
            "what": "the optimizer skips the fourth step",
            "fails": {CURVE: "at step"},
            "install": keras_skips(SKIPPED),
            "only": "test_steps",
        },
        {
            "name": "keras-weights-never-change",
            "what": "the optimizer does nothing",
            "fails": {
                KERAS: "the loss does not fall",
                KERAS_TRANSFER: "digits 0 to 4: ",
                EPOCH: "the network does not learn",
            },
            "install": keras_never_steps,
        },
        {
            "name": "keras-loads-one-weight-off",
            "what": "one loaded weight is wrong in its last bit",
            "fails": {KERAS: "keras: weight 0 changed on its way"},
            "install": keras_loads_one_weight_off,
            "only": "test_mlp",
        },
    ),
    *_of(
        "mlx",
        {
            "name": "mlx-layer-is-rounded",
            "what": "linear layers are rounded to bfloat16",
            "fails": {CURVE: "the loss is", FIRST_STEP: "after one step weight"},
            "install": mlx_linear_in_bfloat16,
        },
        {
            "name": "mlx-step-is-skipped",
            "what": "the optimizer skips the fourth step",
            "fails": {CURVE: "at step"},
            "install": mlx_skips(once=True),
            "only": "test_steps",
        },
        {
            "name": "mlx-weights-never-change",
            "what": "the optimizer does nothing",
            "fails": {
                MLX: "the loss does not fall",
                MLX_TRANSFER: "digits 0 to 4: ",
                EPOCH: "the network does not learn",
            },
            "install": mlx_skips(once=False),
            "only": "mlp or transferred",
        },
        {
            "name": "mlx-loads-nothing",
            "what": "weights are not loaded",
            "fails": {MLX: "the reloaded network predicts"},
            "install": mlx_loads_nothing,
            "only": "mlp",
        },
        {
            "name": "mlx-freezes-nothing",
            "what": "frozen weights are trained",
            "fails": {MLX_TRANSFER: "frozen weight 0 moved"},
            "install": mlx_freezes_nothing,
            "only": "transferred",
        },
    ),
    *_of(
        "jax",
        {
            "name": "jax-layer-is-rounded",
            "what": "matrix products are rounded to bfloat16",
            "fails": {CURVE: "the loss is", FIRST_STEP: "after one step weight"},
            "install": jax_matmul_in_bfloat16,
        },
        {
            "name": "jax-step-is-skipped",
            "what": "the optimizer skips the fourth step",
            "fails": {CURVE: "at step"},
            "install": jax_skips(once=True),
            "only": "test_steps",
        },
        {
            "name": "jax-weights-never-change",
            "what": "the optimizer does nothing",
            "fails": {JAX: "the loss does not fall", EPOCH: "the network does not learn"},
            "install": jax_skips(once=False),
        },
    ),
    *_of(
        "torch",
        {
            "name": "lightning-weights-never-change",
            "what": "the optimizer does nothing",
            "fails": {
                f"{AROUND}test_lightning_trains_on_the_device": "of the digits are recognised"
            },
            "install": adam_does_nothing,
            "only": "lightning",
            "needs": ("lightning",),
        },
        {
            "name": "pipeline-weights-never-change",
            "what": "the optimizer does nothing",
            "fails": {
                f"{AROUND}test_pipeline_of_opencv_and_scikit_learn_feeds_the_device": "of the digits are recognised"
            },
            "install": adam_does_nothing,
            "only": "pipeline",
            "needs": ("cv2", "sklearn"),
        },
        {
            "name": "bert-layer-is-rounded",
            "what": "linear layers are rounded to bfloat16",
            "fails": {
                f"{AROUND}test_bert_gives_what_float64_allows": "LastHidden: forward in float32"
            },
            "install": results_in_bfloat16,
            "only": "bert",
            "needs": ("transformers",),
        },
        {
            "name": "core-ml-lacks-relu",
            "what": "the converter loses an operation",
            "fails": {f"{AROUND}test_core_ml_converts_a_network": "converted to"},
            "install": relu_is_left_out,
            "only": "converts",
            "needs": ("coremltools",),
        },
    ),
    *_of(
        "numpy",
        {
            "name": "numpy-in-single",
            "what": "float64 is computed in float32",
            "fails": {
                f"{PRECISE}test_elementwise": "ULP off",
                f"{PRECISE}test_matmul": "times what is allowed",
                f"{PRECISE}test_fft": "off, allowed",
                f"{PRECISE}test_solve": "the residual is",
            },
            "install": numpy_in_single,
        },
    ),
)


def fault_named(name: str) -> FrameworkFault | None:
    """The fault of this name."""
    return next((fault for fault in FAULTS if fault.name == name), None)
