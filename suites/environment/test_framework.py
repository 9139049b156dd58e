"""The framework: installed in a version that is supported, set up as asked."""

from __future__ import annotations

import importlib.metadata
import os
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from pytest_applesilicon import settings_lint
from pytest_applesilicon.fallback import in_force

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon


def supported(distribution: str, extra: str) -> list[Requirement]:
    """What this package says of a distribution, by itself, in an extra, or in one of its name."""
    stated = importlib.metadata.requires("pytest-applesilicon") or []
    found = [Requirement(line) for line in stated]
    return [
        one
        for one in found
        if one.name == distribution
        and any(
            one.marker is None or one.marker.evaluate({"extra": name})
            for name in ("", extra, distribution)
        )
    ]


def test_framework_version_is_supported(applesilicon: AppleSilicon, device: Any) -> None:
    name = applesilicon.framework.distribution
    version = importlib.metadata.version(name)

    stated = supported(name, applesilicon.framework.name)
    ranges = [one.specifier for one in stated]

    assert ranges, f"no range is stated for {name}"
    # A local part such as +cpu names a build, not another release.
    release = version.partition("+")[0]
    assert all(one.contains(release, prereleases=True) for one in ranges), (
        f"{name} {version} is outside {', '.join(str(one) for one in ranges)}; "
        f"remedy: pip install '{name}{ranges[0]}'"
    )


@pytest.mark.requires_mps(framework="torch")
def test_fallback_is_as_asked(applesilicon: AppleSilicon, device: Any) -> None:
    """An operator that runs on the CPU unseen would pass for one that MPS has."""
    assert in_force(os.environ) == applesilicon.settings.mps_fallback


@pytest.mark.frameworks("torch")
def test_settings_have_an_effect(applesilicon: AppleSilicon, device: Any) -> None:
    """A setting that torch ignores, cannot parse or refuses is not what somebody wanted."""
    problems = [
        *settings_lint.environment_problems(),
        *settings_lint.attribute_problems().values(),
    ]

    assert not problems, "; ".join(problems)
