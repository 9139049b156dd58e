"""assert_agrees and assert_module_agrees in a user's test suite."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")


def test_a_failure_in_a_test_is_told_without_the_inside_of_the_check(pytester, run):
    pytester.makepyfile(
        """
        import torch
        from pytest_applesilicon.agreement.functions import assert_agrees

        def test_right(device):
            assert_agrees(torch.sin, torch.ones(2, 3), device=device)

        def test_wrong(device):
            calls = []
            def halved(x):  # the first call is the one on the device
                calls.append(x)
                return x / 2 if len(calls) == 1 else x
            assert_agrees(halved, torch.ones(2, 3), device=device)
        """
    )
    result = run("--device=cpu", "-p", "no:randomly")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *AssertionError: halved: forward in float32, layout contiguous, on cpu: result 0 is wr*"
        ]
    )
    result.stdout.no_fnmatch_line("*def _judge(*")


def test_a_module_is_judged_on_the_device_of_the_test(pytester, run):
    pytester.makepyfile(
        """
        import torch
        from pytest_applesilicon.agreement.functions import assert_module_agrees

        def test_linear(device):
            assert_module_agrees(torch.nn.Linear(3, 2), torch.ones(4, 3), device=device)
        """
    )
    run("--device=cpu").assert_outcomes(passed=1)


def test_fixture_judges_on_the_device_of_the_test(pytester, run):
    pytester.makepyfile(
        """
        import torch

        def test_right(assert_agrees, assert_module_agrees):
            assert_agrees(torch.tanh, torch.randn(3, 4))
            assert_module_agrees(torch.nn.Linear(4, 2), torch.randn(3, 4))

        def test_wrong(assert_agrees):
            seen = []
            def off(x):
                seen.append(x)
                return x + (1.0 if len(seen) == 1 else 0.0)
            assert_agrees(off, torch.ones(2, 3), gradients=False)
        """
    )

    result = run("--device=cpu", "-v")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_right?cpu? PASSED*", "*test_wrong?cpu? FAILED*"])


def test_fixture_says_that_it_is_written_for_torch(pytester, run):
    pytester.makepyfile("def test_one(assert_agrees):\n    assert_agrees(abs, 1)\n")

    result = run("--framework=numpy", "--device=cpu")

    result.stdout.fnmatch_lines(["*this check is written for torch; the framework*is numpy*"])
