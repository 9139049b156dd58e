"""Options are parsed by name and value, and every message says what is accepted."""

from __future__ import annotations

import argparse
import types
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_applesilicon import marks
from pytest_applesilicon.option_table import FAIL_ON, FRAMEWORKS, MARKER_NAMES, OPTIONS, Option
from pytest_applesilicon.option_values import OptionError, parse_devices
from pytest_applesilicon.options import Settings, early_audit, early_fallback, parse_settings
from pytest_applesilicon.records import Outcome
from pytest_applesilicon.short_options import owner_of

FOLDER = Path("/start")


def _settings(**given: str) -> Settings:
    """Settings with the defaults, except for what is given by name (``_`` for ``-``)."""
    changed = {name.replace("_", "-"): value for name, value in given.items()}
    values = {option.name: option.default for option in OPTIONS} | changed
    origins = {option.name: option.spelling for option in OPTIONS}
    return parse_settings(values, origins, frozenset(changed), FOLDER)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", ("auto",)),
        ("cpu", ("cpu",)),
        ("mps", ("mps",)),
        ("cuda", ("cuda",)),
        ("cuda:0", ("cuda:0",)),
        ("cuda:12", ("cuda:12",)),
        ("mps,cpu", ("mps", "cpu")),
        (" cpu , mps ", ("cpu", "mps")),
        ("cpu,mps,cpu", ("cpu", "mps")),
    ],
)
def test_a_device_spec_is_accepted_each_once_in_its_order(text: str, expected: tuple[str, ...]):
    assert parse_devices(text, "--device") == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("gpu", "'gpu'"),
        ("MPS", "'MPS'"),
        ("mps:0", "'mps:0'"),
        ("cuda:", "'cuda:'"),
        ("cuda:N", "'cuda:N'"),
        ("cuda:-1", "'cuda:-1'"),
        ("cuda:\u0663", "'cuda:\u0663'"),
        ("cpu,", "''"),
        ("cpu,metal", "'metal'"),
    ],
)
def test_another_device_spec_is_refused_with_the_choices(text: str, shown: str):
    with pytest.raises(OptionError) as refused:
        parse_devices(text, "ini key applesilicon_device")
    assert str(refused.value) == (
        f"ini key applesilicon_device: {shown} is not accepted; "
        "give a device or a comma list of devices: auto, cpu, mps, mps-sim, cuda, cuda:N"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("device", "tpu", "--device: 'tpu' is not accepted; give a device or"),
        ("arch", "arm", "--arch: 'arm' is not accepted; give one of: any, native, arm64, x86_64"),
        ("arch", "", "--arch: '' is not accepted; give one of: any, native, arm64, x86_64"),
        (
            "framework",
            "pytorch",
            f"--framework: 'pytorch' is not accepted; give one of: {', '.join(FRAMEWORKS)}",
        ),
        ("framework", "torch,", "--framework: '' is not accepted"),
        (
            "device_missing",
            "warn",
            "--device-missing: 'warn' is not accepted; give one of: error, skip",
        ),
        ("mps_fallback", "1", "--mps-fallback: '1' is not accepted; give one of: error, allow"),
        ("size", "big", "--size: 'big' is not accepted; give one of: quick, full"),
        ("seed", "-1", "--seed: '-1' is not accepted; give a whole number from 0 to 999999999"),
        ("regression-limit", "65535", "--regression-limit: '65535' is not accepted; give a whole"),
        (
            "regression-limit",
            "4294967297",
            "--regression-limit: '4294967297' is not accepted; give a whole number from 65536 to 4294967296",
        ),
        ("regression-size", "XL", "--regression-size: 'XL' is not accepted; give one of: S, M, L"),
        ("seed", "1.0", "--seed: '1.0' is not accepted; give a whole number from 0 to 999999999"),
        ("seed", "", "--seed: '' is not accepted; give a whole number"),
        ("seed", "1234567890", "--seed: '1234567890' is not accepted; give a whole number"),
        ("seed", "\u0661", "--seed: '\u0661' is not accepted; give a whole number"),
        ("mnist", "~nobody-of-this-name/x", "--mnist: '~nobody-of-this-name/x' is not accepted; "),
        ("report", "~nobody-of-this-name/x", "--applesilicon-report: '~nobody-of-this-name/x' is "),
    ],
)
def test_a_bad_value_is_refused_with_origin_value_and_choices(name: str, value: str, message: str):
    with pytest.raises(OptionError) as refused:
        _settings(**{name: value})
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(("arch", value, value) for value in ("any", "native", "arm64", "x86_64")),
        *(("device_missing", value, value) for value in ("error", "skip")),
        *(("mps_fallback", value, value) for value in ("error", "allow")),
        *(("size", value, value) for value in ("quick", "full")),
        *(("seed", str(value), value) for value in (0, 7, 999999999)),
    ],
)
def test_every_listed_value_is_accepted(name: str, value: str, expected: object):
    assert getattr(_settings(**{name: value}), name) == expected


def test_every_outcome_of_an_operator_may_fail_its_test():
    assert set(FAIL_ON) == set(get_args(Outcome))
    for name in FAIL_ON:
        assert set(_settings(fail_on=name).fail_on) == {"wrong", name}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        *((name, (name,)) for name in FRAMEWORKS),
        ("numpy, torch,numpy", ("numpy", "torch")),
    ],
)
def test_frameworks_are_a_comma_list_each_once(text: str, expected: tuple[str, ...]):
    assert _settings(framework=text).frameworks == expected


def test_the_defaults_ask_for_nothing():
    settings = _settings()
    assert settings.devices == ("auto",)
    assert settings.frameworks == ()
    assert settings.seed == 0
    assert settings.mnist is None
    assert settings.report is None
    assert settings.active is False


def test_what_was_given_makes_the_plugin_active():
    settings = _settings(size="quick")
    assert settings.explicit == {"size"}
    assert settings.active is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a/b", FOLDER / "a/b"), ("/a/b", Path("/a/b")), ("~/b", Path("/home/me/b"))],
)
def test_paths_are_relative_to_where_the_run_was_started(
    text: str, expected: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", "/home/me")
    settings = _settings(report=text, mnist=text)
    assert settings.report == expected
    assert settings.mnist == str(expected)


def test_the_header_shows_every_setting_except_where_the_report_goes():
    shown = _settings(device="mps,cpu", seed="3", framework="torch,numpy").as_text()
    assert list(shown) == [
        option.name for option in OPTIONS if not option.name.startswith("report")
    ]
    assert shown["device"] == "mps,cpu"
    assert shown["seed"] == "3"
    assert shown["framework"] == "torch,numpy"
    assert shown["mnist"] == "found"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_true_name_and_the_ini_key_follow_from_the_name(option: Option):
    assert option.true_name == f"--applesilicon-{option.name}"
    assert option.dest == f"applesilicon_{option.name}".replace("-", "_")
    assert option.short in (None, f"--{option.name}")
    assert option.spelling == (option.short or option.true_name)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_default_of_a_choice_is_one_and_the_help_names_them_all(option: Option):
    assert not option.choices or option.default in option.choices
    assert [choice for choice in option.choices if choice not in option.help + option.metavar] == []


def test_the_markers_that_are_declared_are_those_with_a_signature():
    assert set(marks._SIGNATURES) == MARKER_NAMES


# Who declares an option


def _plugin(addoption: object, file: str | None = None) -> types.ModuleType:
    module = types.ModuleType("somebody")
    module.pytest_addoption = addoption  # type: ignore[attr-defined]
    if file:
        module.__file__ = file
    return module


def _plain(parser: Any) -> None:
    parser.addoption("--device")


def _nested(parser: Any) -> None:
    def add() -> None:
        parser.addoption("--device")

    add()


def _in_a_tuple(parser: Any) -> None:
    for name in ("--size", "--device"):
        parser.addoption(name)


def _in_nested_tuples(parser: Any) -> None:
    for name, text in (("--size", "a"), ("--device", "b")):
        parser.addoption(name, help=text)


def _another(parser: Any) -> None:
    parser.addoption("--devices", help="not the --device of others")


class _WithMethod:
    def pytest_addoption(self, parser: Any) -> None:
        parser.addoption("--device")


@pytest.mark.parametrize("addoption", [_plain, _nested, _in_a_tuple, _in_nested_tuples])
def test_the_owner_of_an_option_is_the_plugin_that_names_it(addoption: object):
    plugins = [("first", _plugin(_another)), ("second", _plugin(addoption))]
    assert owner_of("--device", plugins) == "second"


def test_a_conftest_is_named_by_its_file():
    conftest = _plugin(_plain, "/project/tests/conftest.py")
    assert owner_of("--device", [("140233", conftest)]) == "/project/tests/conftest.py"


def test_another_module_is_named_as_it_is_registered():
    assert owner_of("--device", [("gpu", _plugin(_plain, "/lib/gpu/plugin.py"))]) == "gpu"


def test_a_plugin_that_is_an_object_is_found_by_its_method():
    assert owner_of("--device", [("object", _WithMethod())]) == "object"


def test_a_wrapped_hook_is_looked_into():
    def wrapper(*args: Any) -> None: ...

    wrapper.__wrapped__ = _plain  # type: ignore[attr-defined]
    assert owner_of("--device", [("wrapped", _plugin(wrapper))]) == "wrapped"


@pytest.mark.parametrize(
    "plugins",
    [
        pytest.param([], id="nobody"),
        pytest.param([("blocked", None)], id="a plugin that is blocked"),
        pytest.param([("other", _plugin(_another))], id="a longer option"),
        pytest.param([("builtin", _plugin(print))], id="a hook without code"),
    ],
)
def test_an_option_that_nobody_names_belongs_to_another_plugin(plugins: list[tuple[str, Any]]):
    assert owner_of("--device", plugins) == "another plugin"


# What the fallback will be


class _Config:
    def __init__(self, **ini: str) -> None:
        self._ini = ini
        self.option = argparse.Namespace()

    def getini(self, name: str) -> str:
        return self._ini.get(name, "")


@pytest.mark.parametrize(
    ("args", "ini", "expected"),
    [
        pytest.param([], {}, None, id="nothing asked"),
        pytest.param(["-q", "tests", "--devices=mps"], {}, None, id="nothing of ours asked"),
        pytest.param(["--mps-fallback=allow"], {}, "allow", id="joined"),
        pytest.param(["--mps-fallback", "allow"], {}, "allow", id="apart"),
        pytest.param(["-q", "--applesilicon-mps-fallback=allow", "t"], {}, "allow", id="true name"),
        pytest.param(["--applesilicon-mps-fallback", "allow"], {}, "allow", id="true name, apart"),
        pytest.param(["--mps-fallback=allow", "--mps-fallback=error"], {}, "error", id="last wins"),
        pytest.param([], {"applesilicon_mps_fallback": "allow"}, "allow", id="ini"),
        pytest.param(
            ["--mps-fallback=error"],
            {"applesilicon_mps_fallback": "allow"},
            "error",
            id="line wins",
        ),
        pytest.param(["--device=mps"], {}, "error", id="another option: the default"),
        pytest.param(["--device", "mps"], {}, "error", id="another option, apart: the default"),
        pytest.param(["--applesilicon-report=x"], {}, "error", id="no short name: the default"),
        pytest.param([], {"applesilicon_device": "mps"}, "error", id="another ini: the default"),
        pytest.param(["--mps-fallback=yes"], {}, None, id="bad value"),
        pytest.param(["--mps-fallback="], {}, None, id="empty value"),
        pytest.param(["--mps-fallback"], {}, None, id="no value"),
        pytest.param([], {"applesilicon_mps_fallback": "yes"}, None, id="bad ini"),
    ],
)
def test_the_fallback_is_known_before_the_options_are(
    args: list[str], ini: dict[str, str], expected: str | None
):
    assert early_fallback(_Config(**ini), args) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "ini", "expected"),
    [
        pytest.param([], {}, False, id="nothing asked"),
        pytest.param(["--mps-audit"], {}, True, id="asked"),
        pytest.param(["-q", "--applesilicon-mps-audit", "t"], {}, True, id="true name"),
        pytest.param(["--mps-audit-torch", "2.6"], {}, True, id="by another option of it"),
        pytest.param(["--mps-fallback=allow"], {}, False, id="another option"),
        pytest.param([], {"applesilicon_mps_audit": "yes"}, True, id="ini"),
        pytest.param([], {"applesilicon_mps_audit": "no"}, False, id="ini says no"),
    ],
)
def test_an_audit_is_known_before_the_options_are(
    args: list[str], ini: dict[str, str], expected: bool
):
    assert early_audit(_Config(**ini), args) is expected  # type: ignore[arg-type]


def test_in_a_worker_the_audit_is_known_from_the_controller():
    config = _Config()
    config.option.applesilicon_mps_audit = "yes"

    assert early_audit(config, []) is True  # type: ignore[arg-type]
