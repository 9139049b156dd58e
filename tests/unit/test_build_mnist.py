"""The builder of the shipped MNIST subset: same bytes each time, fair choice, clear refusals."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_applesilicon.data import mnist

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tools" / "build_mnist.py"
#: Classes of very different size, one of them too small for a whole share.
TRAIN_COUNTS = (100, 50, 7, 3, 1, 40, 40, 33, 20, 6)
TEST_COUNTS = (9, 8, 7, 6, 5, 4, 3, 2, 1, 5)


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_mnist", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_mnist"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def made_up() -> dict[str, np.ndarray]:
    """Return a small set whose images carry their index, in shuffled order of classes."""
    generator = np.random.default_rng(1)
    arrays = {}
    for split, counts in (("train", TRAIN_COUNTS), ("test", TEST_COUNTS)):
        labels = np.repeat(np.arange(10), counts).astype(np.uint8)
        generator.shuffle(labels)
        images = generator.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
        images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(len(labels)), 256)
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images, labels
    return arrays


@pytest.fixture
def source(tmp_path: Path) -> Path:
    np.savez(tmp_path / "full.npz", **made_up())
    return tmp_path / "full.npz"


def indices(images: np.ndarray) -> np.ndarray:
    return images[:, 0, 0].astype(int) * 256 + images[:, 0, 1]


def test_the_same_source_gives_the_same_bytes_at_another_time(
    builder: ModuleType, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = builder.build(str(source), str(tmp_path / "first.npz"), train=60, test=20)
    later = time.time() + 1_000_000
    monkeypatch.setattr(time, "time", lambda: later)
    second = builder.build(str(source), str(tmp_path / "second.npz"), train=60, test=20)
    content = (tmp_path / "first.npz").read_bytes()
    assert content == (tmp_path / "second.npz").read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(content).hexdigest()
    assert first.size_bytes == len(content)


def test_another_order_in_memory_or_compression_of_the_source_changes_nothing(
    builder: ModuleType, source: Path, tmp_path: Path
):
    arrays = {key: np.asfortranarray(array) for key, array in made_up().items()}
    np.savez_compressed(
        tmp_path / "other.npz", **dict(zip(mnist.KERAS_KEYS, arrays.values(), strict=True))
    )
    first = builder.build(str(source), str(tmp_path / "1.npz"), train=60, test=20)
    second = builder.build(str(tmp_path / "other.npz"), str(tmp_path / "2.npz"), train=60, test=20)
    assert first.sha256 == second.sha256


def test_the_members_carry_no_time_and_no_platform(
    builder: ModuleType, source: Path, tmp_path: Path
):
    builder.build(str(source), str(tmp_path / "out.npz"), train=60, test=20)
    with zipfile.ZipFile(tmp_path / "out.npz") as archive:
        members = archive.infolist()
    assert [member.filename for member in members] == [f"{name}.npy" for name in mnist.FIELDS]
    for member in members:
        assert member.date_time == (1980, 1, 1, 0, 0, 0)
        assert member.compress_type == zipfile.ZIP_DEFLATED
        assert member.create_system == 3


def test_the_choice_depends_on_no_random_generator(builder: ModuleType):
    # The indices below 100 whose text "pytest-applesilicon mnist 1:train:<index>" has the
    # smallest SHA-256, found with sha256sum and sort: every Python and NumPy must choose them.
    expected = [6, 7, 8, 21, 27, 38, 45, 97]
    assert builder.chosen(np.zeros(100, np.uint8), 8, "train") == expected


def test_the_subset_holds_unchanged_images_with_their_labels_in_the_order_of_the_source(
    builder: ModuleType, source: Path, tmp_path: Path
):
    built = builder.build(str(source), str(tmp_path / "out.npz"), train=60, test=20)
    subset = mnist.load(mnist.find(tmp_path / "out.npz"))
    full = made_up()
    for split, total in (("train", 60), ("test", 20)):
        images = getattr(subset, f"{split}_images")
        chosen = indices(images)
        assert len(chosen) == total
        assert (np.diff(chosen) > 0).all()
        np.testing.assert_array_equal(images, full[f"{split}_images"][chosen])
        np.testing.assert_array_equal(
            getattr(subset, f"{split}_labels"), full[f"{split}_labels"][chosen]
        )
    assert built.train_counts == (20, 10, 1, 1, 0, 8, 8, 7, 4, 1)
    assert built.test_counts == mnist.class_counts(subset.test_labels)


def test_train_and_test_images_are_chosen_independently(builder: ModuleType):
    labels = np.zeros(1000, np.uint8)
    train, test = builder.chosen(labels, 500, "train"), builder.chosen(labels, 500, "test")
    assert 200 < len(set(train) & set(test)) < 300


@pytest.mark.parametrize(
    ("counts", "total", "shares"),
    [
        pytest.param((10, 10, 10), 3, [1, 1, 1], id="even"),
        pytest.param((10, 10, 10), 4, [2, 1, 1], id="a tie goes to the lower class"),
        pytest.param((5, 3, 2), 4, [2, 1, 1], id="the largest remainder gets the rest"),
        pytest.param((5, 3, 0), 8, [5, 3, 0], id="all"),
        pytest.param((5, 3, 0), 0, [0, 0, 0], id="none"),
    ],
)
def test_shares_are_rounded_by_largest_remainder(
    builder: ModuleType, counts: tuple[int, ...], total: int, shares: list[int]
):
    assert builder.quotas(counts, total) == shares


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_shares_of_the_shipped_subset_are_those_of_the_full_set(
    builder: ModuleType, split: str
):
    shipped = mnist.load(mnist.Location(mnist.SHIPPED_PATH, "npz", "shipped"))
    labels = getattr(shipped, f"{split}_labels")
    full = mnist.FULL_TRAIN_COUNTS if split == "train" else mnist.FULL_TEST_COUNTS
    assert list(mnist.class_counts(labels)) == builder.quotas(full, len(labels))


# ----------------------------------------------------------------------------- command line


def test_the_program_prints_counts_bytes_and_digests_and_ends_with_0(tmp_path: Path):
    labels = (np.arange(12_500) % 10).astype(np.uint8)
    images = np.zeros((12_500, 28, 28), np.uint8)
    np.savez(
        tmp_path / "full.npz",
        train_images=images,
        train_labels=labels,
        test_images=images[:2100],
        test_labels=labels[:2100],
    )
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "full.npz", "--output", "out.npz"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    content = (tmp_path / "out.npz").read_bytes()
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["digit", "train", "test"]
    assert [line.split() for line in lines[1:11]] == [[str(k), "1,200", "200"] for k in range(10)]
    assert lines[11].split() == ["all", "12,000", "2,000"]
    assert f"bytes          {len(content):,}" in lines
    assert f"sha256         {hashlib.sha256(content).hexdigest()}" in lines
    assert done.stderr == ""


@pytest.mark.parametrize("kind", ["missing", "truncated", "wrong dtype", "too few", "no test"])
def test_a_bad_source_is_one_line_naming_file_and_field_and_writes_nothing(
    builder: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
):
    path, output = tmp_path / "full.npz", tmp_path / "out.npz"
    arrays = made_up()
    field = {
        "missing": "path",
        "truncated": "archive",
        "wrong dtype": "test_labels",
        "too few": "train_images",
        "no test": "test_images",
    }[kind]
    if kind == "wrong dtype":
        arrays[field] = arrays[field] / 2
    if kind == "no test":
        del arrays[field]
    np.savez(path, **arrays)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    if kind == "missing":
        path.unlink()
    before = sorted(tmp_path.iterdir())
    assert builder.main([str(path), "--output", str(output)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    start = f"build_mnist.py: error: MNIST file {path}: {field}: found "
    assert captured.err.startswith(start)
    assert "--mnist" not in captured.err  # that remedy is for the users of the plugin
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", ["missing folder", "folder", "source"])
def test_a_bad_output_is_one_line_naming_it(
    builder: ModuleType,
    source: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
):
    output, reason = {
        "missing folder": (source.parent / "no/out.npz", "does not exist"),
        "folder": (source.parent, "is a folder, not a file"),
        "source": (source, "is the source file"),
    }[kind]
    content = source.read_bytes()
    assert builder.main([str(source), "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"build_mnist.py: error: --output {output}: ")
    assert error.endswith(f"{reason}\n")
    assert source.read_bytes() == content


def test_a_failing_write_keeps_the_old_file_and_leaves_no_other(
    builder: ModuleType, source: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    output = source.with_name("out.npz")
    output.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(builder.BuildError, match=r"--output .*out\.npz: disk full"):
        builder.build(str(source), str(output), train=60, test=20)
    assert output.read_bytes() == b"old"
    assert sorted(path.name for path in source.parent.iterdir()) == ["full.npz", "out.npz"]
