"""Reports for tests of what is made from them."""

from __future__ import annotations

from typing import Any

from pytest_applesilicon import __version__
from pytest_applesilicon.records import (
    Activity,
    Health,
    Host,
    Measurement,
    OpOutcome,
    Record,
    Report,
    RunFacts,
    Sample,
    Target,
    Timing,
    Verdict,
)

HOST = Host("Linux", chip="AMD EPYC", cpu_cores=2, machine="x86_64", interpreter="x86_64")


def target(device: str = "cpu", *, simulated: bool = False) -> Target:
    return Target(
        "torch", device, Health(device, "torch", "ok", "works", simulated=simulated), True
    )


def facts(device: str = "cpu", *, simulated: bool = False, **more: Any) -> RunFacts:
    fields: dict[str, Any] = {
        "version": __version__,
        "created": "2026-11-21T10:00:00+00:00",
        "host": HOST,
        "targets": (target(device, simulated=simulated),),
        "settings": {"size": "quick", "seed": "0"},
        "versions": {"torch": "2.13.0"},
        "exit_status": 0,
    }
    return RunFacts(**{**fields, **more})


def record(name: str, outcome: str = "passed", device: str | None = "cpu", **more: Any) -> Record:
    return Record(name, name, outcome, "torch" if device else None, device, **more)  # type: ignore[arg-type]


def operator(
    name: str, outcome: str = "native", device: str = "cpu", dtype: str = "float32", **more: Any
) -> Record:
    found = OpOutcome(name, "pointwise", dtype, "forward", outcome, samples=2, **more)  # type: ignore[arg-type]
    test = f"suites/ops/test_operators.py::test_forward[{device}-{dtype}-{name}]"
    return record(test, "failed" if outcome == "wrong" else "passed", device, operator=found)


def verdict(state: str, value: float = 0.5, name: str = "max_median_ms") -> Verdict:
    return Verdict(name, state, "budgets.toml: budget[0]", 0.4, value, unit="ms")  # type: ignore[arg-type]


def timing(median: float, iqr: float = 0.01, rounds: int = 20) -> Timing:
    return Timing("", median, median, iqr, rounds, 1)


def everything() -> Report:
    """A report in which every part of a page has something to show."""
    records = (
        operator("add", worst_envelope=0.5, worst_ulp=1.0),
        operator("sinc", "wrong", reason="off by half"),
        operator("eig", "unsupported"),
        record("t.py::test_fails", "failed", reason="AssertionError: 1 == 2"),
        record("t.py::test_known", "xfailed", reason="known failure: no kernel (since 2026-11-21)"),
        record(
            "suites/regressions/test_regressions.py::test_regression[cpu-pytorch-118115-addcmul_]",
            "failed",
        ),
        record("suites/environment/test_doctor.py::test_check[python]", "passed", None),
        record("b.py::test_time", timing=timing(0.5), verdicts=(verdict("exceeded"),)),
        record("b.py::test_rate", measurements=(Measurement("matmul", 2.5, "TFLOPS"),)),
        record("b.py::test_rate_2", measurements=(Measurement("conv", 1.5, "TFLOPS"),)),
        record(
            "t.py::test_asks",
            activity=Activity({"aten::add": 1}, {"aten::eig": 2}, {"item at t.py:3 in f": 4}),
        ),
    )
    samples = (Sample(0.0, 2**20, 50.0), Sample(1.0, 2**21, 90.0))
    return Report(facts(samples=samples, notes=("mnist: shipped subset",)), records)


def sweep(count: int, **more: Any) -> Report:
    """A sweep of so many operators, a few of them wrong."""
    names = ("float32", "float16", "bfloat16", "int64", "bool")
    records = tuple(
        operator(
            f"nn.functional.operator_{at // 5}",
            "wrong" if at % 499 == 7 else "native",
            dtype=names[at % 5],
            worst_envelope=(at % 100) / 101,
            worst_ulp=(at % 7) / 2,
        )
        for at in range(count)
    )
    return Report(facts(**more), records)
