"""Tells of settings that do nothing while tests run: as a warning of the test that made it."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.settings_lint import Watch

if TYPE_CHECKING:
    from collections.abc import Generator

WATCH = pytest.StashKey[Watch]()


class UselessSettingWarning(pytest.PytestWarning):
    """A setting of torch's MPS backend that does nothing, or that torch refuses."""

    __module__ = "pytest_applesilicon"


def begin(config: pytest.Config) -> Watch:
    """Watch from now on; torch's import is noticed by a finder that finds nothing."""
    if WATCH not in config.stash:
        watch = Watch()
        config.stash[WATCH] = watch
        finder: Any = watch
        sys.meta_path.insert(0, finder)
        config.add_cleanup(lambda: sys.meta_path.remove(finder))
    return config.stash[WATCH]


class Linting:
    """The hooks that look after collection and after each test."""

    def __init__(self, config: pytest.Config) -> None:
        self._watch = begin(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self) -> None:
        try:
            self._tell()
        except UselessSettingWarning as error:  # a filter turns warnings into errors
            raise OptionError(str(error)) from None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        yield
        self._tell()

    def _tell(self) -> None:
        for problem in self._watch.look():
            warnings.warn(UselessSettingWarning(problem), stacklevel=2)
