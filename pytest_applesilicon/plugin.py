"""The hooks that every run has, and nothing but hooks.

A run that uses nothing of this plugin must not pay for it: at import there are only the
options and the fixtures. Once something is used, ``running.Run`` is registered, and its hooks
do the rest.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon import option_table, option_values, options, short_options
from pytest_applesilicon.fixtures import (  # noqa: F401 - pytest finds fixtures by name
    applesilicon,
    applesilicon_device,
    assert_agrees,
    assert_module_agrees,
    assert_same,
    device,
    device_benchmark,
    measure,
    mnist,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_applesilicon.running import Run

_SHORT_TAKEN = pytest.StashKey[tuple[str, ...]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.declare(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    wanted = options.early_fallback(early_config, args)
    if wanted is not None:
        from pytest_applesilicon import fallback, linting

        linting.begin(early_config)
        restore = fallback.switch(wanted)
        if restore is not None:
            early_config.add_cleanup(restore)
    if options.early_simulation(early_config, args):
        from pytest_applesilicon import selection

        selection.simulate_early()
    early_config.stash[_SHORT_TAKEN] = ()
    with _loading(early_config, args):
        yield
    early_config.stash[_SHORT_TAKEN] = short_options.declare_short(parser)


def _loading(config: pytest.Config, args: list[str]) -> contextlib.AbstractContextManager[None]:
    if not options.early_audit(config, args):
        return contextlib.nullcontext()
    from pytest_applesilicon import auditing

    return auditing.loading(config)


def pytest_configure(config: pytest.Config) -> None:
    for marker, meaning in option_table.MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if options.given_text(config, option_table.named("faults")) in ("help", "each"):
        from pytest_applesilicon import each_fault

        return each_fault.main(config)
    if options.asks_for_places(config):
        from pytest_applesilicon import places

        places.begin(config)
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> Generator[None, None, None]:
    config = session.config
    settings = options.Settings.from_pytest(config)
    config.stash[options.SETTINGS] = settings
    # A controller cannot know whether its workers will use the plugin: it collects nothing.
    if settings.active or config.getoption("dist", default="no") != "no":
        _run(config).start()
    try:
        yield
    except Exception as error:
        # execnet is imported by pytest-xdist alone, and only where there are workers.
        if type(error).__name__ != "HostNotFound":
            raise
        raise option_values.OptionError(f"--tx: the host {error} cannot be reached") from None


def pytest_report_header(config: pytest.Config) -> list[str]:
    taken: tuple[str, ...] = config.stash[_SHORT_TAKEN]
    return short_options.describe_taken(config, taken)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "applesilicon_device" in metafunc.fixturenames:
        _run(metafunc.config).parametrize(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    names = option_table.MARKER_NAMES
    if any(mark.name in names for item in items for mark in item.iter_markers()):
        _run(config).apply_markers(items)


def _run(config: pytest.Config) -> Run:
    """The run, registered with its hooks on first use."""
    from pytest_applesilicon.running import Run

    return Run.of(config)
