"""Calling a function of the array API in a framework, and what became of the call.

Frameworks are imported inside functions, the one that is asked only.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import frameworks
from pytest_applesilicon.agreement import array_functions, array_judging, envelope
from pytest_applesilicon.agreement.array_namespaces import LACKING, LackingError, function_of
from pytest_applesilicon.records import OpOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_applesilicon.agreement.array_functions import Function
    from pytest_applesilicon.agreement.judging import Judgement
    from pytest_applesilicon.frameworks.base import Framework

#: Functions that a framework composes of others, each of which rounds: how many. JAX has no
#: kernel of these logarithms and divides two natural ones (jax/_src/numpy/ufuncs.py).
_COMPOSED = {("jax", "log2"): 2, ("jax", "log10"): 2}


@dataclass(frozen=True)
class Place:
    """A framework on a device."""

    framework: Framework
    spec: str


def forward(place: Place, function: Function, arrays: list[Any]) -> Any:
    """The result of the call on the device.

    Raises:
        LackingError: the framework has no such kernel there.
    """
    import numpy as np

    try:
        with on(place), np.errstate(all="ignore"):
            return function.call(function_of(place.framework.name, function.name), arrays)
    except LackingError:
        raise
    except Exception as error:  # whatever a framework raises for a kernel it lacks
        if LACKING.search(str(error)):
            raise LackingError(_first_line(error)) from error
        raise


def backward(
    place: Place, function: Function, arrays: list[Any], upstream: Any
) -> tuple[Any, list[Any]]:
    """The result and the gradients by the floating operands, on the device."""
    own = function_of(place.framework.name, function.name)
    called = lambda *given: function.call(own, list(given))  # noqa: E731
    try:
        with on(place):
            return _VJPS[place.framework.name](called, arrays, upstream)
    except Exception as error:  # as above
        if LACKING.search(str(error)):
            raise LackingError(_first_line(error)) from error
        raise


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


def _vjp_of_tensorflow(called: Any, arrays: list[Any], upstream: Any) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(arrays)
        result = called(*arrays)
    return result, list(tape.gradient(result, arrays, output_gradients=upstream))


def _vjp_of_mlx(called: Any, arrays: list[Any], upstream: Any) -> tuple[Any, list[Any]]:
    import mlx.core as mx

    results, found = mx.vjp(called, arrays, [upstream])
    mx.eval(results, found)
    return results[0], list(found)


def _vjp_of_jax(called: Any, arrays: list[Any], upstream: Any) -> tuple[Any, list[Any]]:
    import jax

    result, pull = jax.vjp(called, *arrays)
    return result, list(pull(upstream))


_VJPS = {"tensorflow": _vjp_of_tensorflow, "mlx": _vjp_of_mlx, "jax": _vjp_of_jax}

#: Frameworks that have gradients.
WITH_GRADIENTS = tuple(_VJPS)


@contextmanager
def on(place: Place) -> Iterator[None]:
    """What runs inside runs on the device; TensorFlow raises where it has no kernel there."""
    with place.framework.running_on(place.spec):
        if place.framework.name != "tensorflow":
            yield
            return
        import tensorflow as tf

        before = tf.config.get_soft_device_placement()
        tf.config.set_soft_device_placement(False)
        try:
            yield
        finally:
            tf.config.set_soft_device_placement(before)


def moved_to(place: Place, result: Any) -> str:
    """The device a result was computed on instead of the one asked for; empty where it was.

    TensorFlow says that a result is on the GPU whose kernel computes on the host; where the
    memory is, is where it was computed.
    """
    facts = place.framework.facts(result)
    backing = getattr(result, "backing_device", "")
    if place.framework.name == "tensorflow" and backing:
        found = backing.rpartition("device:")[2]
        wanted = place.framework.device(place.spec).rpartition("/")[2]
        return "" if found == wanted else found
    return "" if place.framework.on_device(facts, place.spec) else facts.device


def upload(place: Place, operands: Sequence[Any], dtype: str) -> tuple[list[Any], list[Any]] | None:
    """The operands on the device in a dtype, and their values there as the host reads them.

    ``None`` where the framework does not have the dtype.
    """
    framework = place.framework
    wanted = framework.dtype(dtype)
    if wanted is None:
        return None
    arrays, values = [], []
    for one in operands:
        floating = one.dtype.kind in "fc"
        array = framework.to_device(one, place.spec, wanted if floating else None)
        arrays.append(array)
        values.append(framework.to_host(array) if floating else one)
    return arrays, values


def check(place: Place, function: Function, dtype: str, direction: str, seed: int) -> OpOutcome:
    """How a function does on a device, in one dtype and direction."""
    name = array_functions.label(function)

    def ended(outcome: Any, reason: str = "", judged: Sequence[Judgement] = ()) -> OpOutcome:
        return OpOutcome(
            name,
            function.category,
            dtype,
            direction,
            outcome,
            samples=1,
            reason=reason,
            worst_ulp=max((one.error_ulp for one in judged if one.agrees), default=0.0),
            worst_envelope=max((one.error_envelope for one in judged if one.agrees), default=0.0),
            needs_same_dtype=int(any(one.needs_same_dtype for one in judged)),
        )

    uploaded = upload(place, array_functions.draw(function, dtype, seed), dtype)
    if uploaded is None:
        return ended("unsupported", f"{place.framework.name} has no {dtype} as it is set up")
    arrays, values = uploaded
    try:
        if direction == "gradient":
            judged, moved = _judge_gradient(place, function, dtype, arrays, values, seed)
        else:
            judged, moved = judge_forward(place, function, dtype, arrays, values, seed)
    except LackingError as error:
        return ended("unsupported", str(error))
    except WrongKindError as error:
        return ended("wrong", f"{name}: {error}")
    except Exception as error:  # NumPy made the same call without one
        return ended("wrong", f"{name} in {dtype} raised {_first_line(error)}")
    wrong = [one for one in judged if not one.agrees]
    if wrong:
        return ended("wrong", f"{name} in {dtype}: {telling(wrong[0])}", judged)
    if moved:
        return ended("fallback", f"ran on {moved}", judged)
    return ended("native", judged=judged)


class WrongKindError(Exception):
    """A result has another shape or dtype than the reference."""


def judge_forward(
    place: Place, function: Function, dtype: str, arrays: list[Any], values: list[Any], seed: int
) -> tuple[list[Judgement], str]:
    """The judgement of a call on operands that are on the device, and where it ran instead."""
    result = forward(place, function, arrays)
    check_kind(place, function, dtype, values, result)
    judged = array_judging.judge_call(
        place.framework.to_host(result),
        function.reference,
        values,
        dtype,
        seed=seed,
        same_dtype=_same_dtype(place, function, dtype, values),
        own_error=_composition(place, function, dtype, values),
    )
    return [judged], moved_to(place, result)


def _composition(place: Place, function: Function, dtype: str, values: list[Any]) -> Any:
    """What the roundings inside a composed function may add: the dtype bound for each."""
    roundings = _COMPOSED.get((place.framework.name, function.name), 1)
    if roundings == 1:
        return 0.0
    exact = function.reference(*values)
    return roundings * envelope.dtype_ulps(dtype) * envelope.ulp(exact, dtype)


def check_kind(
    place: Place, function: Function, dtype: str, values: list[Any], result: Any
) -> None:
    """Raise unless the result has the shape of the reference and a dtype that follows from it.

    Raises:
        WrongKindError: saying what is and what should be.
    """
    import numpy as np

    exact = np.asarray(function.reference(*values))
    facts = place.framework.facts(result)
    if facts.shape != exact.shape:
        raise WrongKindError(f"the result has the shape {facts.shape}, not {exact.shape}")
    if exact.dtype.kind in "fc":
        complex_to_real = dtype.startswith("complex") and exact.dtype.kind == "f"
        wanted = array_judging.real_dtype(dtype) if complex_to_real else dtype
        if dtype == "float32" and exact.dtype.kind == "c":
            wanted = "complex64"
        if dtype in array_functions.INTEGERS:  # the standard leaves it to the framework
            return
        if facts.dtype != wanted:
            raise WrongKindError(f"the result is {facts.dtype}, not {wanted}")
    elif (exact.dtype.kind == "b") != (facts.dtype == "bool"):
        raise WrongKindError(f"the result is {facts.dtype}, not {exact.dtype}")


def _same_dtype(place: Place, function: Function, dtype: str, values: list[Any]) -> Any:
    """What NumPy gives in the dtype itself; ``None`` where it has none, or is itself judged."""
    import numpy as np

    if place.framework.name == "numpy" or not hasattr(np, dtype):
        return None
    narrow = [one.astype(dtype) if one.dtype.kind in "fc" else one for one in values]
    try:
        found = np.asarray(function.reference(*narrow))
    except TypeError:  # linear algebra of float16
        return None
    return found.astype(np.complex128 if found.dtype.kind == "c" else np.float64)


def _judge_gradient(
    place: Place, function: Function, dtype: str, arrays: list[Any], values: list[Any], seed: int
) -> tuple[list[Judgement], str]:
    import numpy as np

    exact = np.asarray(function.reference(*values))
    draw = np.random.default_rng(seed).uniform(0.5, 2, exact.shape)
    given = upload(place, [draw], dtype)
    assert given is not None  # noqa: S101 - the operands have the dtype
    (upstream,), (weights,) = given
    result, found = backward(place, function, arrays, upstream)
    judged = []
    for number, (one, value) in enumerate(zip(found, values, strict=True)):
        if value.dtype.kind != "f":
            continue
        if one is None:
            raise WrongKindError(f"operand {number} has no gradient")

        def reference(*operands: Any, number: int = number) -> Any:
            return array_judging.gradients(function.reference, operands[:-1], operands[-1])[number]

        facts = place.framework.facts(one)
        if (facts.shape, facts.dtype) != (value.shape, dtype):
            raise WrongKindError(
                f"gradient {number} is {facts.dtype} of shape {facts.shape}, "
                f"not {dtype} of shape {value.shape}"
            )
        operands = [*values, weights]
        own = np.abs(
            reference(*operands)
            - array_judging.gradients(
                function.reference, values, weights, step=array_judging.STEP / 4
            )[number]
        )
        judged.append(
            array_judging.judge_call(
                place.framework.to_host(one), reference, operands, dtype, seed=seed, own_error=own
            )
        )
    return judged, moved_to(place, result)


def telling(judged: Judgement) -> str:
    """The worst element of a judgement as a line."""
    return (
        f"element {list(judged.index)} is {judged.actual!r}, in float64 {judged.oracle!r}: "
        f"{judged.error_ulp:.3g} ULP off, {judged.error_envelope:.3g} times what is allowed; "
        f"{judged.outside} of {judged.total} elements are outside"
    )


def place_of(framework: str, spec: str) -> Place:
    """A framework on a device."""
    return Place(frameworks.load(framework), spec)
