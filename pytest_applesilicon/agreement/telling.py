"""What a failure says: the worst element, how far off it is, and the sample it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import walking
from pytest_applesilicon.opinfo import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_applesilicon.agreement.oracle import SampleJudgement


def told(found: SampleJudgement, label: str = "", expected: Any = None) -> str:
    """What differs, with the worst element and the size of its error.

    Args:
        found: a judgement that does not agree.
        label: what the leaf is called, ``result 0`` unless told.
        expected: the worst element on the host in the same dtype (``host_element``).
    """
    label = label or f"result {found.leaf}"
    figures = found.judgement
    if found.differs_in != "values" or figures is None:
        return f"{found.differs_in} of {label} differs: {found.actual}, expected {found.expected}"
    host = "" if expected is None else f"expected {expected}, "
    return (
        f"{label} is wrong at {list(figures.index)}: actual {figures.actual}, {host}"
        f"oracle {figures.oracle}: off by {figures.error:.3g}, {figures.error_ulp:.3g} ULP, "
        f"{figures.error_envelope:.3g} times what is allowed; "
        f"{figures.outside} of {figures.total} elements are outside"
    )


def host_element(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    found: SampleJudgement,
) -> Any:
    """The worst element as the host computes it in the same dtype.

    ``None`` where there is no worst element, or the host refuses the call.
    """
    if found.judgement is None:
        return None
    given, named = (
        walking.copied(walking.on_host(args)),
        walking.copied(walking.on_host(dict(kwargs))),
    )
    try:
        leaf = walking.to_host(walking.leaves(call(*given, **named))[found.leaf])
        return leaf[found.judgement.index]
    except Exception:  # a text that lacks one figure is better than another error
        return None


def sample_text(args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> str:
    """Shapes, dtypes and other arguments: ``(float32[2, 3], 5, dim=1)``."""
    return Sample(tuple(args), dict(kwargs or {}), lambda result: result, broadcasts=False).text
