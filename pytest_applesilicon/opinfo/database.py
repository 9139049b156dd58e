"""Reading torch's private test databases, and one clear error where that is not possible.

``torch.testing._internal`` is no public interface: it moves between releases, and it imports
expecttest, which torch does not require. Nothing else in the package imports it.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PRIVATE = "torch.testing._internal"
INSTALL = "pip install 'pytest-applesilicon[torch]'"
STILL_WORKS = (
    "The environment, training and benchmark suites and assert_same do not need it and still work."
)


class OpInfoError(Exception):
    """torch's operator database cannot be read; the text says what is missing and what works."""


def entries(module: str, name: str, attributes: Sequence[str]) -> list[Any]:
    """The list ``name`` of one of torch's private test modules.

    Args:
        module: The module's name below ``torch.testing._internal``.
        name: The list in it.
        attributes: What each of its entries must have for us to read it.

    Raises:
        OpInfoError: The module, the list or one of the attributes is missing.
    """
    path = f"{PRIVATE}.{module}"
    found = getattr(private(path), name, None)
    if not isinstance(found, (list, tuple)) or not found:
        raise changed(f"{path}.{name} is missing or empty")
    for entry in found:
        lacking = [attribute for attribute in attributes if not hasattr(entry, attribute)]
        if lacking:
            raise changed(f"an entry of {path}.{name} has no {', '.join(lacking)}")
    return list(found)


def private(path: str) -> Any:
    """One of torch's private test modules.

    Raises:
        OpInfoError: It, or something that it imports, is missing.
    """
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise OpInfoError(
            f"torch's operator database needs torch, which cannot be imported ({error}): "
            f"{INSTALL}. {STILL_WORKS}"
        ) from error
    try:
        with _torch_flags_kept(), _arguments_hidden(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(path)
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        if isinstance(error, ModuleNotFoundError) and missing not in ("", "torch"):
            raise OpInfoError(
                f"torch {torch_version()}: its operator database needs {missing}, which is not "
                f"installed: {INSTALL}. {STILL_WORKS}"
            ) from error
        raise changed(f"{path} cannot be imported ({error})") from error
    except AttributeError as error:
        raise changed(f"{path} cannot be imported ({error})") from error


def torch_version() -> str:
    """The version of the torch that is imported."""
    return str(getattr(sys.modules.get("torch"), "__version__", "of unknown version"))


def changed(what: str) -> OpInfoError:
    """The error for a private interface that is not what we know."""
    return OpInfoError(
        f"torch {torch_version()}: {what}. torch's operator database is a private interface, and "
        f"this release of pytest-applesilicon does not know the one of this torch; a newer "
        f"release may. {STILL_WORKS}"
    )


@contextmanager
def _torch_flags_kept() -> Iterator[None]:
    """Undoes a lock: common_utils forbids the process to set ``torch.backends`` flags (2.13)."""
    backends = importlib.import_module("torch.backends")
    # The module replaces itself by an object; the flag stays among the globals of its functions.
    names = getattr(getattr(backends, "disable_global_flags", None), "__globals__", {})
    flag = "__allow_nonbracketed_mutation_flag"
    before = names.get(flag)
    try:
        yield
    finally:
        if before is not None:
            names[flag] = before


@contextmanager
def _arguments_hidden() -> Iterator[None]:
    """Older releases parse ``sys.argv``, and would take pytest's ``--seed`` for theirs."""
    before = sys.argv
    sys.argv = before[:1] or [""]
    try:
        yield
    finally:
        sys.argv = before
