"""Settings that do nothing are named, with the right way."""

from __future__ import annotations

from types import ModuleType

import pytest

from pytest_applesilicon import settings_lint
from pytest_applesilicon.settings_lint import Watch

HIGH, LOW = "PYTORCH_MPS_HIGH_WATERMARK_RATIO", "PYTORCH_MPS_LOW_WATERMARK_RATIO"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"PYTORCH_ENABLE_MPS_FALLBACK": "true"},
            "PYTORCH_ENABLE_MPS_FALLBACK=true: torch parses a whole number; set 1",
        ),
        ({"PYTORCH_MPS_FAST_MATH": "on"}, "PYTORCH_MPS_FAST_MATH=on: torch parses a whole number"),
        ({HIGH: "70%"}, f"{HIGH}=70%: torch parses a number; set a ratio from 0"),
        ({HIGH: "2.5"}, f"{HIGH}=2.5: torch refuses it; set a ratio from 0 (no limit) to 2.0"),
        # kohya sd-scripts#603: the message names a value that nobody set
        (
            {HIGH: "0.7"},
            f"{HIGH}=0.7 with {LOW}=1.4, the default: torch refuses a low watermark above 0.7",
        ),
        (
            {HIGH: "1.0", LOW: "1.2"},
            f"{HIGH}=1 with {LOW}=1.2: torch refuses a low watermark above 1",
        ),
        ({LOW: "1.9"}, f"{HIGH}=1.7 with {LOW}=1.9: torch refuses a low watermark above 1.7"),
        (
            {"PYTORCH_MPS_FASTMATH": "1"},
            "PYTORCH_MPS_FASTMATH is no variable that torch reads; did you mean PYTORCH_MPS_FAST_MATH?",
        ),
        (
            {"PYTORCH_MPS_METAL_VERSION": "three"},
            "PYTORCH_MPS_METAL_VERSION=three: torch parses a version",
        ),
    ],
)
def test_bad_variable_is_named_with_the_right_way(environ, problem):
    (found,) = settings_lint.environment_problems(environ)

    assert found.startswith(problem)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PYTORCH_ENABLE_MPS_FALLBACK": "1", "PATH": "x"},
        {"PYTORCH_ENABLE_MPS_FALLBACK": ""},
        {HIGH: "0.0"},
        {HIGH: "0.0", LOW: "1.9"},
        {HIGH: "0.7", LOW: "0.5"},
        {HIGH: "0.7", LOW: "0"},
        {"PYTORCH_MPS_METAL_VERSION": "3.1"},
        {"PYTORCH_CUDA_ALLOC_CONF": "anything"},
    ],
)
def test_good_variables_are_left_alone(environ):
    assert settings_lint.environment_problems(environ) == []


def backend(**names):
    module = ModuleType("torch.backends.mps")
    module.__all__ = ["is_built", "get_name"]
    module.TYPE_CHECKING = False
    module.is_built = lambda: False
    for name, value in names.items():
        setattr(module, name, value)
    return {"torch": ModuleType("torch"), "torch.backends.mps": module}


def test_attribute_that_does_not_exist_is_named():
    found = settings_lint.attribute_problems(backend(allow_tf32=True, allow_fallback_to_cpu=True))

    assert found["allow_tf32"].startswith(
        "torch.backends.mps.allow_tf32 does not exist, and setting it does nothing; remove it: Apple GPUs have no TF32"
    )
    assert (
        "PYTORCH_ENABLE_MPS_FALLBACK=1 before torch is imported" in found["allow_fallback_to_cpu"]
    )


def test_backend_as_torch_has_it_is_left_alone():
    torch = pytest.importorskip("torch")

    assert settings_lint.attribute_problems({"torch.backends.mps": torch.backends.mps}) == {}
    assert settings_lint.attribute_problems(backend()) == {}
    assert settings_lint.attribute_problems({}) == {}


def test_variable_set_after_the_import_is_told_once():
    environ, modules = {}, {}
    watch = Watch(environ, modules)
    environ["PYTORCH_MPS_FAST_MATH"] = "1"
    watch.find_spec("torch")
    modules["torch"] = ModuleType("torch")
    assert watch.look() == []

    environ["PYTORCH_MPS_PREFER_METAL"] = "1"
    del environ["PYTORCH_MPS_FAST_MATH"]

    late, removed = watch.look()
    assert (
        late
        == "PYTORCH_MPS_PREFER_METAL was set after torch was imported, which does not notice: PYTORCH_MPS_PREFER_METAL=1 pytest ..."
    )
    assert (
        removed
        == "PYTORCH_MPS_FAST_MATH was removed after torch was imported, which does not notice: env -u PYTORCH_MPS_FAST_MATH pytest ..."
    )
    assert watch.look() == []


def test_variable_set_before_the_import_is_in_time():
    environ = {"PYTORCH_MPS_FAST_MATH": "1"}

    assert Watch(environ, {}).look() == []
    assert Watch(environ, {"torch": ModuleType("torch")}).look() == []


def test_a_variable_that_was_accepted_is_told_when_it_changes_again():
    environ: dict[str, str] = {}
    watch = Watch(environ, {"torch": ModuleType("torch")})
    environ["PYTORCH_ENABLE_MPS_FALLBACK"] = "1"

    watch.accept("PYTORCH_ENABLE_MPS_FALLBACK")
    assert watch.look() == []

    environ["PYTORCH_ENABLE_MPS_FALLBACK"] = "0"
    assert len(watch.look()) == 1
