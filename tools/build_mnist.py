"""Build the MNIST subset that ships with pytest-applesilicon from the full set.

Run it from the root of the repository, with the package installed:

    python tools/build_mnist.py mnist.npz

The images of each digit keep their share of the full set (largest remainder) and their order.
Which ones are chosen depends on a hash of the index, not on a random generator, so every
version of Python and NumPy chooses the same. The bytes of the file also depend on the zlib
this Python was built with; the digest of the values, printed beside, does not.

Exit status 0: built. 2: the source or the output cannot be used; nothing was written.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_applesilicon.data import mnist
from pytest_applesilicon.files import check_writable, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

#: Part of what is hashed; another seed chooses other images.
SEED = "pytest-applesilicon mnist 1"
DEFAULT_OUTPUT = "pytest_applesilicon/data/mnist_subset.npz"


class BuildError(Exception):
    """The subset cannot be built; the text is one line for the user."""


@dataclass(frozen=True)
class Built:
    """What was written."""

    output: str
    source: str
    """Where the images came from, for people."""
    train_counts: tuple[int, ...]
    """Images of each digit 0..9."""
    test_counts: tuple[int, ...]
    size_bytes: int
    sha256: str
    """Of the file."""
    values_sha256: str
    """Of the values of the four arrays, whatever compressed them; see ``values_digest``."""


def quotas(counts: Sequence[int], total: int) -> list[int]:
    """Return how many of ``total`` each class gets, in proportion to ``counts``.

    Largest remainder in whole numbers; of equal remainders the lower class wins.

    Raises:
        BuildError: there are fewer than ``total``.
    """
    available = sum(counts)
    if available < total:
        raise BuildError(f"found {available:,} images; accepted: {total:,} or more")
    shares = [count * total // available for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda k: (-(counts[k] * total % available), k))
    for digit in by_remainder[: total - sum(shares)]:
        shares[digit] += 1
    return shares


def chosen(labels: npt.NDArray[np.uint8], total: int, split: str) -> list[int]:
    """Return the indices of the chosen images, ascending.

    Args:
        labels: uint8, (N,), 0..9.
        total: how many images to choose.
        split: ``train`` or ``test``; part of what is hashed.
    """
    ranked: list[list[int]] = [[] for _ in range(10)]
    for index in sorted(range(len(labels)), key=lambda index: _rank(split, index)):
        ranked[int(labels[index])].append(index)
    shares = quotas([len(indices) for indices in ranked], total)
    return sorted(i for indices, share in zip(ranked, shares, strict=True) for i in indices[:share])


def _rank(split: str, index: int) -> bytes:
    """Return what orders the images of a class; as good as random, and the same everywhere."""
    return hashlib.sha256(f"{SEED}:{split}:{index}".encode()).digest()


def select(full: mnist.Mnist, train: int, test: int) -> dict[str, npt.NDArray[np.uint8]]:
    """Return the four arrays of the subset under the names in ``mnist.FIELDS``."""
    arrays = {}
    for split, total, images, labels in (
        ("train", train, full.train_images, full.train_labels),
        ("test", test, full.test_images, full.test_labels),
    ):
        try:
            indices = chosen(labels, total, split)
        except BuildError as error:
            raise BuildError(f"{split}_images: {error}") from error
        arrays[f"{split}_images"] = images[indices]
        arrays[f"{split}_labels"] = labels[indices]
    return arrays


def npz_bytes(arrays: dict[str, npt.NDArray[np.uint8]]) -> bytes:
    """Return a compressed ``.npz`` file; the same arrays always give the same bytes.

    ``numpy.savez_compressed`` is not used as the time of writing gets into its file.
    """
    import numpy as np

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # otherwise the platform gets into the file
            info.external_attr = 0o644 << 16
            archive.writestr(info, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return stream.getvalue()


def values_digest(arrays: dict[str, npt.NDArray[np.uint8]]) -> str:
    """Return the SHA-256 of the values of the arrays, in C order, one array after the other."""
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.tobytes())
    return digest.hexdigest()


def build(source: str, output: str, *, train: int, test: int) -> Built:
    """Write the subset of ``source`` with ``train`` and ``test`` images to ``output``.

    Raises:
        BuildError: the source or the output cannot be used; nothing was written.
    """
    problem = check_writable(output)
    if problem is not None:
        raise BuildError(f"--output {problem}")
    try:
        location = mnist.find(source)
        if Path(output).exists() and location.path.samefile(output):
            raise BuildError(f"--output {output}: is the source file")
        full = mnist.load(location)
    except mnist.MnistError as error:
        raise BuildError(error.problem) from error
    try:
        arrays = select(full, train, test)
    except BuildError as error:
        raise BuildError(f"MNIST file {source}: {error}") from error
    content = npz_bytes(arrays)
    try:
        write_whole(output, content)
    except OSError as error:
        raise BuildError(f"--output {output}: {error}") from error
    return Built(
        output=output,
        source=full.source,
        train_counts=mnist.class_counts(arrays["train_labels"]),
        test_counts=mnist.class_counts(arrays["test_labels"]),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        values_sha256=values_digest(arrays),
    )


def table(built: Built) -> str:
    """Return what was built as a small table."""
    rows = [f"{'digit':>8}{'train':>8}{'test':>8}"]
    for digit, (train, test) in enumerate(zip(built.train_counts, built.test_counts, strict=True)):
        rows.append(f"{digit:>8}{train:>8,}{test:>8,}")
    rows.append(f"{'all':>8}{sum(built.train_counts):>8,}{sum(built.test_counts):>8,}")
    rows += [
        "",
        f"source         {built.source}",
        f"output         {built.output}",
        f"bytes          {built.size_bytes:,}",
        f"sha256         {built.sha256}",
        f"values sha256  {built.values_sha256}",
    ]
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="build_mnist.py", description="Build the MNIST subset that ships with the package."
    )
    parser.add_argument("source", metavar="SOURCE.npz", help="the full MNIST")
    parser.add_argument(
        "--output", default=DEFAULT_OUTPUT, help="the file to write (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        built = build(
            options.source, options.output, train=mnist.SHIPPED_TRAIN, test=mnist.SHIPPED_TEST
        )
    except BuildError as error:
        print(f"build_mnist.py: error: {error}", file=sys.stderr)
        return 2
    print(table(built))
    return 0


if __name__ == "__main__":
    sys.exit(main())
