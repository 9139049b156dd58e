"""What PyTorch's own tests expect to fail on MPS, read from the source in a wheel.

``torch/testing/_internal/common_mps.py`` ships with torch from 2.8 on. Its lists are local to a
function that is defined where MPS is available only, so they are read and not imported. Keys
are names of torch's operator database with the name of the variant behind them, values the
dtypes that fail, or ``None`` for all.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMBER = "torch/testing/_internal/common_mps.py"
UNIMPLEMENTED = "UNIMPLEMENTED_XFAILLIST"
NO_COMPLEX = "UNSUPPORTED_COMPLEX_OPS"


class ExpectedError(ValueError):
    """The source has another form; the text says what is missing."""


def unimplemented(source: str) -> dict[str, tuple[str, ...] | None]:
    """The operators that are not expected to work, with the dtypes; ``None`` for all.

    What is said of an older macOS or of sparse tensors is left out.

    Raises:
        ExpectedError: the list is not in the source, or has another form.
    """
    value = next(_assigned(source, UNIMPLEMENTED), None)
    if not isinstance(value, ast.Dict):
        raise ExpectedError(f"{MEMBER} has no {UNIMPLEMENTED}")
    found = {_text(key): _dtypes(one) for key, one in zip(value.keys, value.values, strict=True)}
    return {name: dtypes for name, dtypes in found.items() if dtypes != ()}


def without_complex(source: str) -> tuple[str, ...]:
    """The operators without complex dtypes; none where the source lists those with them."""
    value = next(_assigned(source, NO_COMPLEX), None)
    return tuple(_text(one) for one in value.elts) if isinstance(value, ast.Set) else ()


def _assigned(source: str, name: str) -> Iterator[ast.expr]:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ExpectedError(f"{MEMBER} is not whole: line {error.lineno}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if node.value and any(isinstance(one, ast.Name) and one.id == name for one in targets):
            yield node.value


def _text(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ExpectedError(f"{MEMBER}: a name of an operator is no text")


def _dtypes(node: ast.expr) -> tuple[str, ...] | None:
    if isinstance(node, ast.IfExp):  # [...] if MACOS_VERSION < 15.0 else [...]
        return _dtypes(node.orelse)
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.List) and all(isinstance(one, ast.Attribute) for one in node.elts):
        return tuple(one.attr for one in node.elts if isinstance(one, ast.Attribute))
    raise ExpectedError(f"{MEMBER}: line {node.lineno}: neither dtypes of torch nor None")
