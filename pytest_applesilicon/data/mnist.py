"""The MNIST digits: which files are used (``find``) and the arrays in them (``load``).

``find`` only asks the file system for names, so a header can show what it says in every run.
NumPy is imported inside ``load``; nothing is ever downloaded, and nothing is ever unpickled.

Search order of ``find``:

1. the path the user gave;
2. Keras's cache, ``$KERAS_HOME/datasets/mnist.npz`` or ``~/.keras/datasets/mnist.npz``;
3. torchvision's raw folder, ``MNIST/raw`` under ``./data``, ``.`` or ``~/.cache/torchvision``
   (torchvision has no default root: the first is the one of its examples);
4. the subset that ships with this package.

A place that holds something broken ends the search with an error: to go on to the next one
would use other images than the header names.
"""

from __future__ import annotations

import gzip
import math
import os
import stat
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    Uint8Array = npt.NDArray[np.uint8]

FilePath: TypeAlias = str | os.PathLike[str]

SHIPPED_PATH = Path(__file__).absolute().with_name("mnist_subset.npz")
SHIPPED_TRAIN = 12_000
SHIPPED_TEST = 2_000

#: Images of each digit 0..9 in the full set. Other sets come in files of the same form
#: (Fashion-MNIST has 6,000 images of each class), so 60,000 images alone are no proof.
FULL_TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
FULL_TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)

#: Names of the four arrays, in the order in which everything here handles them.
FIELDS = ("train_images", "train_labels", "test_images", "test_labels")
KERAS_KEYS = ("x_train", "y_train", "x_test", "y_test")
IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IDX_DIMENSIONS = (3, 1, 3, 1)

Origin = Literal["explicit", "keras", "torchvision", "shipped"]
Layout = Literal["npz", "idx"]

_NOTES: dict[Origin, str] = {
    "explicit": "--mnist",
    "keras": "Keras's cache",
    "torchvision": "torchvision's folder",
}
_ACCEPTED_KEYS = f"the keys {', '.join(KERAS_KEYS)} (Keras) or {', '.join(FIELDS)}"
_ACCEPTED_PATH = (
    "an .npz file, a folder with the four idx files (plain or .gz), or a folder with MNIST/raw"
)


class MnistError(ValueError):
    """A file that is not a usable MNIST; the text is the problem followed by the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        # Both go to ``args``, so the error survives pickling between processes.
        super().__init__(problem, remedy)
        self.problem = problem
        """Names the file, the field, what was found and what is accepted."""
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy}"


@dataclass(frozen=True)
class Location:
    """Where MNIST was found, before anything of it was read."""

    path: Path
    """The ``.npz`` file, or the folder of the four idx files."""
    layout: Layout
    origin: Origin

    def describe(self) -> str:
        """Return the text for the header of a run."""
        if self.origin == "shipped":
            return f"shipped subset ({SHIPPED_TRAIN:,} train, {SHIPPED_TEST:,} test)"
        return f"MNIST from {self.path} ({_NOTES[self.origin]})"

    @property
    def remedy(self) -> str:
        """What to do when the files here cannot be used."""
        if self.origin == "shipped":
            return "Reinstall pytest-applesilicon, or pass --mnist=PATH to another file"
        if self.origin == "explicit":
            return "Pass --mnist=PATH to another file, or leave the option out"
        return "Pass --mnist=PATH to another file, or remove this one"


@dataclass(frozen=True, eq=False)  # ``==`` on arrays has no single truth value
class Mnist:
    """The images and labels of one MNIST; images are 28 by 28, 0 is background, 255 is ink."""

    train_images: Uint8Array = field(repr=False)
    """uint8, (N, 28, 28)."""
    train_labels: Uint8Array = field(repr=False)
    """uint8, (N,), 0..9."""
    test_images: Uint8Array = field(repr=False)
    """uint8, (M, 28, 28)."""
    test_labels: Uint8Array = field(repr=False)
    """uint8, (M,), 0..9."""
    source: str
    """For people, such as ``shipped subset (12,000 train, 2,000 test)``."""
    full: bool
    """Whether this is the full set: 60,000 and 10,000 images with MNIST's class counts."""


@dataclass(frozen=True)
class _Part:
    """One of the four arrays as read, with the names an error needs."""

    file: Path
    field: str
    array: Any
    """A NumPy array of any dtype and shape."""


# ---------------------------------------------------------------------------------- finding


def find(
    path: FilePath | None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: FilePath | None = None,
    home: FilePath | None = None,
) -> Location:
    """Return where MNIST is, asking only for names in the file system.

    Args:
        path: what the user gave, or ``None`` to search. ``~`` is the home folder; a relative
            path starts at ``cwd``.
        environ: the environment variables, by default those of this process.
        cwd: where relative paths start, by default the current folder.
        home: the home folder, by default the user's.

    Raises:
        MnistError: ``path`` was given and nothing usable is there.
    """
    variables = os.environ if environ is None else environ
    start = Path.cwd() if cwd is None else Path(cwd)
    # Not Path.home(), which raises where the user has no home, as in some containers.
    user = Path(os.path.expanduser("~") if home is None else home)  # noqa: PTH111
    if path is not None:
        return _explicit(os.fspath(path), start, user)
    keras = _absolute(variables.get("KERAS_HOME") or "~/.keras", start, user)
    archive = keras / "datasets" / "mnist.npz"
    if _is(stat.S_ISREG, archive):
        return Location(archive, "npz", "keras")
    for root in ("data", ".", "~/.cache/torchvision"):
        raw = _absolute(root, start, user) / "MNIST" / "raw"
        if _present(raw):
            return Location(raw, "idx", "torchvision")
    return Location(SHIPPED_PATH, "npz", "shipped")


def _absolute(path: str, cwd: Path, home: Path) -> Path:
    """Return ``path`` with ``~`` replaced, starting at ``cwd`` where it is relative."""
    if path == "~" or path.startswith("~/"):
        return home / path[2:]
    return cwd.absolute() / path


def _explicit(given: str, cwd: Path, home: Path) -> Location:
    """Return the location of a path the user gave; see ``find`` for the errors."""
    path = _absolute(given, cwd, home)
    location = Location(path, "npz", "explicit")
    if not given:  # would otherwise be ``cwd``
        raise _error(location, "''", "path", "an empty path", _ACCEPTED_PATH)
    if _is(stat.S_ISREG, path):
        return location
    if not _is(stat.S_ISDIR, path):
        found = "something that is neither" if _is(bool, path) else "nothing there"
        raise _error(location, path, "path", found, _ACCEPTED_PATH)
    for folder in (path, path / "MNIST" / "raw"):
        if _present(folder):
            location = Location(folder, "idx", "explicit")
            for name in IDX_NAMES:
                _idx_file(location, name)
            return location
    raise _error(location, path, "path", "a folder without any idx file", _ACCEPTED_PATH)


def _is(kind: Callable[[int], bool], path: Path) -> bool:
    """Say whether something of this kind is at ``path`` as far as this user may know.

    ``Path.is_file`` raises for a folder that may not be entered before Python 3.14; a cache of
    somebody else must not stop a run.
    """
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return False


def _present(folder: Path) -> bool:
    """Say whether any of the four idx files is in ``folder``.

    One is enough: the rest of an interrupted download is then missed by name.
    """
    return any(
        _is(stat.S_ISREG, folder / (name + end)) for name in IDX_NAMES for end in ("", ".gz")
    )


def _idx_file(location: Location, name: str) -> Path:
    """Return the path of one idx file, the plain one first; ``MnistError`` if neither is there."""
    for end in ("", ".gz"):
        path = location.path / (name + end)
        if _is(stat.S_ISREG, path):
            return path
    raise _error(location, location.path, name, "no such file", f"{name} or {name}.gz")


def _error(
    location: Location, file: Path | str, name: str, found: str, accepted: str
) -> MnistError:
    """Return the one form of error of this module.

    ``found`` may quote damaged bytes, such as the names in an archive: what could break the
    line or steer a terminal is escaped, and the text is cut at 300 characters.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in found)
    if len(shown) > 300:
        shown = f"{shown[:297]}..."
    return MnistError(
        f"MNIST file {file}: {name}: found {shown}; accepted: {accepted}", location.remedy
    )


# ---------------------------------------------------------------------------------- loading


def load(location: Location) -> Mnist:
    """Read and check the four arrays; each call returns fresh ones that may be written to.

    Raises:
        MnistError: a file is missing, damaged, or holds something other than uint8 images of
            shape (N, 28, 28) with as many whole-number labels from 0 to 9.
    """
    read = _read_npz if location.layout == "npz" else _read_idx
    train_x, train_y, test_x, test_y = read(location)
    train_images = _images(location, train_x)
    test_images = _images(location, test_x)
    train_labels = _labels(location, train_y, count=len(train_images))
    test_labels = _labels(location, test_y, count=len(test_images))
    full = (
        class_counts(train_labels) == FULL_TRAIN_COUNTS
        and class_counts(test_labels) == FULL_TEST_COUNTS
    )
    return Mnist(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        source=_source(location, len(train_images), len(test_images), full=full),
        full=full,
    )


def class_counts(labels: Uint8Array) -> tuple[int, ...]:
    """Return how many labels each digit 0..9 has; ``labels`` is uint8, (N,), at most 9."""
    import numpy as np

    return tuple(int(count) for count in np.bincount(labels, minlength=10))


def _source(location: Location, train: int, test: int, *, full: bool) -> str:
    """Return the text of ``Mnist.source``, made from what was read."""
    if full:
        return f"full MNIST from {location.path}"
    if location.origin == "shipped":
        return f"shipped subset ({train:,} train, {test:,} test)"
    return f"{train:,} train and {test:,} test images from {location.path}"


def _read_npz(location: Location) -> list[_Part]:
    """Return the four arrays of an ``.npz`` file under either set of keys, in order."""
    import numpy as np

    path, name = location.path, "archive"
    accepted = f"an .npz file with {_ACCEPTED_KEYS}"
    parts = []
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise _error(location, path, name, "a single .npy array", accepted)
            for name in _keys(location, archive.files):
                accepted = "an intact array that needs no unpickling"
                parts.append(_Part(path, name, np.asarray(archive[name])))
    except MnistError:
        raise
    except Exception as error:
        # Whatever zipfile, zlib or NumPy's header parser raise on damaged bytes (a dozen types).
        raise _error(location, path, name, _reason(error), accepted) from error
    return parts


def _keys(location: Location, present: list[str]) -> tuple[str, ...]:
    """Return the spelling of the four keys a file has; ``MnistError`` names a missing one."""
    spellings = (KERAS_KEYS, FIELDS)
    best = max(spellings, key=lambda keys: len(set(keys) & set(present)))
    for key in best:
        if key not in present:
            found = f"no such key, only {', '.join(sorted(present)) or 'an empty archive'}"
            raise _error(location, location.path, key, found, _ACCEPTED_KEYS)
    return best


def _reason(error: Exception) -> str:
    """Return the kind and the first line of an error, without a full stop."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".rstrip(": .")


def _read_idx(location: Location) -> list[_Part]:
    """Return the four arrays of a folder of idx files, in order."""
    parts = []
    for name, label, dimensions in zip(IDX_NAMES, FIELDS, IDX_DIMENSIONS, strict=True):
        path = _idx_file(location, name)
        try:
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
        except Exception as error:  # OSError, EOFError, zlib.error and what gzip adds to them
            accepted = "a readable, intact file"
            raise _error(location, path, label, _reason(error), accepted) from error
        parts.append(_Part(path, label, _idx_array(location, path, label, content, dimensions)))
    return parts


def _idx_array(
    location: Location, path: Path, label: str, content: bytes, dimensions: int
) -> Uint8Array:
    """Return the array of one idx file.

    The format: a big-endian magic number whose third byte is the type (8 is uint8) and whose
    fourth is the number of dimensions, one big-endian 32-bit size per dimension, the values
    in C order (http://yann.lecun.com/exdb/mnist/).
    """
    import numpy as np

    magic = 0x0800 | dimensions
    start = 4 + 4 * dimensions
    if len(content) < start:
        found = f"{len(content)} bytes"
        raise _error(location, path, label, found, f"a header of {start} bytes, then the values")
    (actual,) = struct.unpack_from(">I", content)
    if actual != magic:
        raise _error(location, path, label, f"magic number {actual}", f"magic number {magic}")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    expected = start + math.prod(shape)
    if len(content) != expected:
        found = f"{len(content):,} bytes"
        wanted = f"{expected:,} bytes, which the sizes in its header {shape} need"
        raise _error(location, path, label, found, wanted)
    # A copy, as an array over ``bytes`` is read-only and torch.from_numpy warns about those.
    values: Uint8Array = np.frombuffer(content, dtype=np.uint8, offset=start).copy()
    return values.reshape(shape)


def _images(location: Location, part: _Part) -> Uint8Array:
    """Return images checked to be uint8, (N, 28, 28), N at least 1, in C order."""
    import numpy as np

    array = part.array
    if array.dtype != np.uint8 or array.shape[1:] != (28, 28) or not len(array):
        found = f"{array.dtype} of shape {array.shape}"
        wanted = "uint8 of shape (N, 28, 28), N at least 1"
        raise _error(location, part.file, part.field, found, wanted)
    return np.ascontiguousarray(array, dtype=np.uint8)


def _labels(location: Location, part: _Part, *, count: int) -> Uint8Array:
    """Return labels checked to be ``count`` whole numbers from 0 to 9, as uint8, (N,)."""
    import numpy as np

    array = part.array
    if array.dtype.kind not in "iu" or array.shape != (count,):
        found = f"{array.dtype} of shape {array.shape}"
        wanted = f"a whole-number dtype of shape ({count},), one label per image"
        raise _error(location, part.file, part.field, found, wanted)
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 9:
        raise _error(location, part.file, part.field, f"labels from {low} to {high}", "0 to 9")
    return np.ascontiguousarray(array, dtype=np.uint8)
