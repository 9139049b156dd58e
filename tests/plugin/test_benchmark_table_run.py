"""A run with benchmarks ends in their table, with figures of tests that need no device too."""

from __future__ import annotations

import json

BENCHMARKS = """
    from pytest_applesilicon import Published

    OTHERS = Published("36.28", "s", "Apple M1 Max", "mps", source="a comparison, June 2022")


    def test_on_a_device(device, applesilicon, device_benchmark):
        device_benchmark.pedantic(sum, args=([1, 2],), rounds=2)
        applesilicon.measure("sum of two", 2.5, "GB/s", published=[OTHERS])
        applesilicon.measure("kept", 3, "MB")


    def test_of_the_host(benchmark, measure):
        benchmark.pedantic(sum, args=([1, 2],), rounds=2)
        measure("start", 0.0238, "s")


    def test_without_a_benchmark(measure):
        measure("accuracy", 0.5)
"""


def test_first_figure_of_a_benchmark_stands_in_its_table(run, pytester):
    pytester.makepyfile(BENCHMARKS)

    result = run("--device=cpu", "--framework=numpy", "--applesilicon-report=r.json")

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "benchmark        cpu     host",
            "sum of two  2.5 GB/s        -",
            "  published: 36.28 s Apple M1 Max mps (here *)",
            "start              -  23.8 ms",
            "published by: a comparison, June 2022 (as their authors printed them; none was",
            "",
            "measured   cpu  host",
            "kept      3 MB     -",
            "accuracy     -   0.5",
        ],
        consecutive=False,
    )
    records = json.loads((pytester.path / "r.json").read_text())["records"]
    assert records[0]["measurements"][0]["published"][0]["machine"] == "Apple M1 Max"
    assert [one["name"] for one in records[1]["measurements"]] == ["start"]


def test_measure_wants_a_number_and_texts(run, pytester):
    pytester.makepyfile(
        """
        import pytest


        def test_it(measure):
            with pytest.raises(TypeError, match="name and unit are texts"):
                measure("a", 1.0, 2)
            with pytest.raises((TypeError, ValueError)):
                measure("a", "many")
        """
    )

    run().assert_outcomes(passed=1)
