"""Every operator on inputs without elements, without dimensions, and of five dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .share import check_form

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")


def test_shape(shape: str, operator: str, applesilicon: AppleSilicon, device: Any) -> None:
    check_form(operator, shape, "forward", applesilicon)


def test_shape_gradient(shape: str, operator: str, applesilicon: AppleSilicon, device: Any) -> None:
    check_form(operator, shape, "gradient", applesilicon)
