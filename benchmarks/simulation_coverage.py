"""How much of torch's operator and module databases runs on the simulated MPS device.

    python benchmarks/simulation_coverage.py [--strict] [--gradients] [--modules] [--only REGEX]

Each sample runs on the CPU and on ``mps:0``; values, dtype, shape and stride are compared.
Every operator that does not pass is held against ``simulation_exceptions.toml``, which says
why; one that stands there and passes, or fails and does not stand there, is an error. With
``--strict`` operators that MPS lacks must raise, and are counted apart.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

EXCEPTIONS = Path(__file__).with_name("simulation_exceptions.toml")

#: In float32 the same kernels may add in another order where memory is aligned otherwise.
RELATIVE, ABSOLUTE = 1e-5, 1e-6


def main() -> int:
    """Run what the command line asks for; the exit status says whether all is explained."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--strict", action="store_true", help="missing operators raise")
    parser.add_argument("--gradients", action="store_true", help="forward, then autograd.grad")
    parser.add_argument("--modules", action="store_true", help="module_db instead of op_db")
    parser.add_argument("--only", default="", help="names that this expression finds")
    parser.add_argument("--samples", type=int, default=3)
    given = parser.parse_args()

    from pytest_applesilicon.simulate import device

    device.install(fallback=not given.strict)
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    found = _modules(given) if given.modules else _operators(given)
    print(f"{time.perf_counter() - begin:.0f} s")
    return _report(found, given)


_NOT_ON_CPU = "the CPU refuses it as well"


def _operators(given: argparse.Namespace) -> dict[str, str]:
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    found: dict[str, str] = {}
    for op in op_db:
        name = _name(op)
        if not re.search(given.only, name):
            continue
        known = op.supported_backward_dtypes("cpu") if given.gradients else op.dtypes
        wanted = given.gradients and op.supports_autograd and bool(known)
        known = known if wanted else op.dtypes
        first = (torch.float32, torch.complex64, torch.int64, torch.bool)
        dtype = next((one for one in first if one in known), torch.float32)
        try:
            found[name] = _operator(op, dtype, given, wanted)
        except Exception as error:  # whatever torch raises explains itself
            found[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:150]}"
    return found


def _take_float32() -> set[str]:
    """The entries of the database with float32 among their dtypes on the CPU."""
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    return {_name(op) for op in op_db if torch.float32 in op.supported_dtypes("cpu")}


def _name(op: Any) -> str:
    return str(op.name) + (f".{op.variant_test_name}" if op.variant_test_name else "")


def _operator(op: Any, dtype: Any, given: argparse.Namespace, gradients: bool) -> str:
    import torch

    torch.manual_seed(0)
    samples = op.sample_inputs("cpu", dtype, requires_grad=gradients)
    for _, sample in zip(range(given.samples), samples, strict=False):
        args, kwargs = (sample.input, *single(sample.args)), single(sample.kwargs)
        call = partial(_gradients if gradients else _forward, op, sample.output_process_fn_grad)
        # A split point must stay on the CPU: torch refuses it elsewhere.
        moved = (_moved(args[0]), *args[1:]) if op.name == "tensor_split" else _moved(args)
        with _seed():
            try:
                expected = call(args, kwargs)
            except Exception as error:  # made for CUDA alone, or refused in this dtype
                return f"{_NOT_ON_CPU}: {type(error).__name__}"
        with _seed():
            actual = call(moved, _there(op.name, _moved(kwargs)))
        problem = _difference(expected, actual, _random(op))
        if problem:
            return problem
    return "pass"


def _seed() -> Any:
    import torch

    torch.manual_seed(1)
    return warnings.catch_warnings()


def _random(op: Any) -> bool:
    return "empty" in op.name or bool(
        re.search("rand|normal|bernoulli|dropout|multinomial|cauchy|exponential|geometric", op.name)
    )


def single(value: Any) -> Any:
    """The sample with float32 in place of a float64 that it asks for by name."""
    import torch

    if isinstance(value, dict):
        return {key: single(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(single(one) for one in value)
    return torch.float32 if value is torch.float64 else value


#: Factories of the database whose samples name no device.
_FACTORIES = ("linspace", "logspace")


def _there(name: str, kwargs: Any) -> Any:
    """The device, for a factory that is called without one and is given no tensor to follow."""
    return {**kwargs, "device": "mps"} if name in _FACTORIES and "device" not in kwargs else kwargs


def _forward(op: Any, _process: Any, args: Any, kwargs: Any) -> list[Any]:
    return _leaves(op(*args, **kwargs))


def _gradients(op: Any, process: Any, args: Any, kwargs: Any) -> list[Any]:
    import torch

    results = [one for one in _leaves(process(op(*args, **kwargs))) if one.requires_grad]
    inputs = [one for one in _leaves([*args, *kwargs.values()]) if one.requires_grad]
    if not results or not inputs:
        return results
    ones = [torch.ones_like(one) for one in results]
    return [*results, *torch.autograd.grad(results, inputs, ones, allow_unused=True)]


def _leaves(value: Any) -> list[Any]:
    import torch

    if isinstance(value, (list, tuple)):
        return [leaf for one in value for leaf in _leaves(one)]
    return [value] if isinstance(value, torch.Tensor) else []


def _moved(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        plain = value.detach()
        if value.layout is not torch.strided or value.is_conj() or value.is_neg():
            return plain.to("mps").requires_grad_(value.requires_grad)
        # The whole memory, so that the view over it is the same.
        length = value.untyped_storage().nbytes() // value.element_size()
        memory = plain.as_strided((length,), (1,), 0).to("mps")
        there = memory.as_strided(value.size(), value.stride(), value.storage_offset())
        return there.detach().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        moved = {key: _moved(one) for key, one in value.items()}
        return {**moved, "device": "mps"} if moved.get("device") == "cpu" else moved
    if isinstance(value, torch.device) or value == "cpu":
        return torch.device("mps:0")
    if isinstance(value, (list, tuple)):
        made = [_moved(one) for one in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return value


def _difference(expected: list[Any], actual: list[Any], random: bool) -> str:
    import torch

    if len(expected) != len(actual):
        return f"{len(actual)} results instead of {len(expected)}"
    for want, have in zip(expected, actual, strict=True):
        if (want is None) != (have is None):
            return "a gradient is missing"
        if want is None:
            continue
        if have.device.type != "mps":
            return f"a result is on {have.device}"
        for name in ("dtype", "shape"):
            if getattr(want, name) != getattr(have, name):
                return f"{name} {getattr(have, name)} instead of {getattr(want, name)}"
        if want.layout is torch.strided and want.numel() and want.stride() != have.stride():
            return f"stride {have.stride()} instead of {want.stride()}"
        if not random and not _close(have, want):
            return "other values"
    return ""


def _close(have: Any, want: Any) -> bool:
    import torch

    if want.layout is torch.sparse_coo and have.layout is want.layout:
        want, have = want.to_dense(), have.to_dense()
    return bool(torch.allclose(have.cpu(), want, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True))


def _modules(given: argparse.Namespace) -> dict[str, str]:
    import torch
    from torch.testing._internal.common_modules import module_db

    found: dict[str, str] = {}
    for info in module_db:
        if not re.search(given.only, info.name):
            continue
        outcomes = {place: _module_outcome(info, place, torch) for place in ("cpu", "mps")}
        if outcomes["cpu"] == "pass":
            found[info.name] = outcomes["mps"]
        else:
            print(f"left out: {info.name} fails on the CPU: {outcomes['cpu']}")
    return found


def _module_outcome(info: Any, place: str, torch: Any) -> str:
    try:
        for training in (True, False):
            _module(info, place, training, torch)
    except Exception as error:  # whatever torch raises explains itself
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
    return "pass"


def _module(info: Any, place: str, training: bool, torch: Any) -> None:
    if info.train_and_eval_differ is False and not training:
        return
    inputs = info.module_inputs_func(
        info, device=place, dtype=torch.float32, requires_grad=True, training=training
    )
    for _, one in zip(range(3), inputs, strict=False):
        made = one.constructor_input
        module = info.module_cls(*made.args, **made.kwargs).to(place).train(training)
        given = one.forward_input
        results = _leaves(module(*given.args, **given.kwargs))
        assert all(result.device.type == place for result in results)
        wanted = [result for result in results if result.requires_grad]
        if wanted:
            torch.autograd.backward(wanted, [torch.ones_like(result) for result in wanted])


def _explained() -> dict[str, str]:
    """The reasons in the data file, by name of the entry."""
    lines = EXCEPTIONS.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(" = ") for line in lines if " = " in line)
    return {name.strip('"'): reason.strip('"') for name, _, reason in pairs}


def _report(found: dict[str, str], given: argparse.Namespace) -> int:
    kind = "modules" if given.modules else "operators"
    explained = _explained() if kind == "operators" else {}
    left_out = [name for name, text in found.items() if text.startswith(_NOT_ON_CPU)]
    found = {name: text for name, text in found.items() if name not in left_out}
    print(f"left out, because the CPU does not run them: {', '.join(left_out) or 'none'}")
    missing = {
        name: text for name, text in found.items() if "currently implemented for the MPS" in text
    }
    failed = {name: text for name, text in found.items() if text != "pass" and name not in missing}
    counts = Counter(text == "pass" for text in found.values())
    print(f"{kind}: {counts[True]} of {len(found)} pass ({counts[True] / len(found):.2%})")
    if kind == "operators":
        names = _take_float32() & found.keys()
        passed = sum(found[name] == "pass" for name in names)
        print(f"of those that take float32: {passed} of {len(names)} ({passed / len(names):.2%})")
    refused = [name for name in failed if explained.get(name, "").startswith("refused")]
    able = len(found) - len(refused)
    print(f"of those that MPS does not refuse: {counts[True] / able:.2%}, {able} {kind}")
    if missing:
        print(f"missing on MPS: {len(missing)}")
        for name, text in missing.items():
            print(f"  {name}: {text.partition(' is not')[0].rpartition(' ')[2]}")
    unexplained = [name for name in failed if name not in explained]
    for name, text in failed.items():
        print(f"  {name}: {text}\n    {explained.get(name, 'NOT EXPLAINED')}")
    stale = [] if given.only else [name for name in explained if found.get(name) == "pass"]
    for name in [one for one in stale if "with gradients" not in explained[one]]:
        print(f"  {name} passes, and {EXCEPTIONS.name} says it does not")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
