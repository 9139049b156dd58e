"""Which MNIST is used, what is in the shipped one, and the one error for each bad file."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_applesilicon.data import mnist
from pytest_applesilicon.data.mnist import Location, MnistError, find, load

if TYPE_CHECKING:
    from collections.abc import Callable

SHA256 = "a52613051347979bbc3204df3a2ad0afc0779f0038a904fe81005f05acca009f"
VALUES_SHA256 = "ca5648821b6170cd1eaf5ba9c88b1a3d11e956ab735af99236017b1e6103a3cf"

Arrays = dict[str, np.ndarray]
REMEDY = "Pass --mnist=PATH to another file, or leave the option out"


def made_up(train: int = 30, test: int = 20) -> Arrays:
    """Return the four arrays of a small set; every image differs from every other."""
    generator = np.random.default_rng(0)
    return {
        "train_images": generator.integers(0, 256, (train, 28, 28), dtype=np.uint8),
        "train_labels": (np.arange(train) % 10).astype(np.uint8),
        "test_images": generator.integers(0, 256, (test, 28, 28), dtype=np.uint8),
        "test_labels": (np.arange(test) % 10).astype(np.uint8),
    }


def write_npz(path: Path, arrays: Arrays, keys: tuple[str, ...] = mnist.KERAS_KEYS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **dict(zip(keys, arrays.values(), strict=True)))
    return path


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return struct.pack(">I", 0x0800 | array.ndim) + sizes + array.tobytes()


def write_idx(folder: Path, arrays: Arrays, *, compressed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(mnist.IDX_NAMES, arrays.values(), strict=True):
        content = idx_bytes(array)
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def assert_holds(loaded: mnist.Mnist, arrays: Arrays) -> None:
    for name, expected in arrays.items():
        actual = getattr(loaded, name)
        assert actual.dtype == np.uint8
        assert actual.flags.c_contiguous
        assert actual.flags.writeable  # torch.from_numpy warns about the others
        np.testing.assert_array_equal(actual, expected)


def problem_of(path: Path) -> str:
    """Return the text of the one error that finding and loading ``path`` gives."""
    with pytest.raises(MnistError) as caught:
        load(find(path))
    assert caught.value.remedy == REMEDY
    assert str(caught.value) == f"{caught.value.problem}. {REMEDY}"
    assert "\n" not in str(caught.value)
    return caught.value.problem


# ------------------------------------------------------------------------ the shipped subset


@pytest.fixture(scope="module")
def shipped() -> mnist.Mnist:
    return load(Location(mnist.SHIPPED_PATH, "npz", "shipped"))


def test_the_shipped_file_is_the_one_that_was_built():
    content = mnist.SHIPPED_PATH.read_bytes()
    assert len(content) < 3_000_000
    assert hashlib.sha256(content).hexdigest() == SHA256


def test_the_shipped_values_are_those_that_were_built(shipped: mnist.Mnist):
    digest = hashlib.sha256()
    for name in mnist.FIELDS:
        digest.update(getattr(shipped, name).tobytes())
    assert digest.hexdigest() == VALUES_SHA256


def test_the_shipped_set_has_the_counts_its_header_names(shipped: mnist.Mnist):
    assert shipped.train_images.shape == (12_000, 28, 28)
    assert shipped.train_labels.shape == (12_000,)
    assert shipped.test_images.shape == (2_000, 28, 28)
    assert shipped.test_labels.shape == (2_000,)
    assert not shipped.full
    assert shipped.source == "shipped subset (12,000 train, 2,000 test)"
    assert Location(mnist.SHIPPED_PATH, "npz", "shipped").describe() == shipped.source


@pytest.mark.parametrize("split", ["train", "test"])
def test_each_shipped_class_has_its_share_of_the_full_set(shipped: mnist.Mnist, split: str):
    labels = getattr(shipped, f"{split}_labels")
    full = mnist.FULL_TRAIN_COUNTS if split == "train" else mnist.FULL_TEST_COUNTS
    for count, full_count in zip(mnist.class_counts(labels), full, strict=True):
        assert abs(count - full_count * len(labels) / sum(full)) < 1


def test_the_shipped_images_are_digits_and_no_two_are_equal(shipped: mnist.Mnist):
    images = np.concatenate([shipped.train_images, shipped.test_images])
    assert len({image.tobytes() for image in images}) == 14_000
    assert not images[:, 0].any()  # MNIST centres each digit in a black frame
    assert 0.12 < images.mean() / 255 < 0.14  # 0.1307 in the full set


def test_the_nearest_class_mean_recognises_most_shipped_test_digits(shipped: mnist.Mnist):
    train = shipped.train_images.reshape(-1, 784).astype(np.float64)
    means = np.stack([train[shipped.train_labels == digit].mean(axis=0) for digit in range(10)])
    test = shipped.test_images.reshape(-1, 784).astype(np.float64)
    distances = np.stack([((test - mean) ** 2).sum(axis=1) for mean in means], axis=1)
    # 0.82 on the full set; labels that are not those of the images give 0.1.
    assert (distances.argmin(axis=1) == shipped.test_labels).mean() > 0.75


def test_the_licence_of_the_shipped_file_names_holders_terms_and_change():
    text = mnist.SHIPPED_PATH.with_name("MNIST-LICENSE.txt").read_text()
    for words in (
        "Yann LeCun and Corinna Cortes",
        "NIST",
        "https://creativecommons.org/licenses/by-sa/3.0/",
        "keras.datasets.mnist.load_data",
        "12,000 of the 60,000",
    ):
        assert words in text


# --------------------------------------------------------------------------------- searching


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Return a place of each kind, all filled, in the order in which they are searched."""
    write_npz(tmp_path / "keras/datasets/mnist.npz", made_up())
    folders = {
        "keras": tmp_path / "keras/datasets/mnist.npz",
        "./data": tmp_path / "cwd/data/MNIST/raw",
        ".": tmp_path / "cwd/MNIST/raw",
        "cache": tmp_path / "home/.cache/torchvision/MNIST/raw",
    }
    for name in ("./data", ".", "cache"):
        write_idx(folders[name], made_up())
    return folders


def found_in(tmp_path: Path, path: str | Path | None = None) -> Location:
    environ = {"KERAS_HOME": str(tmp_path / "keras")}
    return find(path, environ=environ, cwd=tmp_path / "cwd", home=tmp_path / "home")


def test_the_first_filled_place_in_the_documented_order_is_used(
    tmp_path: Path, places: dict[str, Path]
):
    for name, place in places.items():
        location = found_in(tmp_path)
        assert location.path == place, name
        assert location.origin == ("keras" if name == "keras" else "torchvision")
        assert str(place) in location.describe()
        assert_holds(load(location), made_up())
        place.rename(place.with_name("gone"))
    assert found_in(tmp_path) == Location(mnist.SHIPPED_PATH, "npz", "shipped")


def test_an_explicit_path_goes_before_every_other_place(tmp_path: Path, places: dict[str, Path]):
    path = write_npz(tmp_path / "mine.npz", made_up())
    location = found_in(tmp_path, path)
    assert location == Location(path, "npz", "explicit")
    assert location.describe() == f"MNIST from {path} (--mnist)"


@pytest.mark.parametrize("keras_home", [None, ""])
def test_without_keras_home_its_cache_is_in_the_home_folder(tmp_path: Path, keras_home: str | None):
    path = write_npz(tmp_path / "home/.keras/datasets/mnist.npz", made_up())
    environ = {} if keras_home is None else {"KERAS_HOME": keras_home}
    location = find(None, environ=environ, cwd=tmp_path, home=tmp_path / "home")
    assert location == Location(path, "npz", "keras")


def test_with_keras_home_the_home_folder_is_not_searched(tmp_path: Path):
    write_npz(tmp_path / "home/.keras/datasets/mnist.npz", made_up())
    assert found_in(tmp_path).origin == "shipped"


def test_the_process_gives_what_was_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert find(None).origin == "shipped"
    write_idx(tmp_path / "home/.cache/torchvision/MNIST/raw", made_up())
    assert find(None).path == tmp_path / "home/.cache/torchvision/MNIST/raw"
    write_idx(tmp_path / "MNIST/raw", made_up())
    assert find(None).path == tmp_path / "MNIST/raw"
    write_npz(tmp_path / "keras/datasets/mnist.npz", made_up())
    assert find(None).path == tmp_path / "keras/datasets/mnist.npz"


@pytest.mark.parametrize("given", ["sub/m.npz", "~/m.npz"])
def test_an_explicit_path_may_start_at_the_current_or_the_home_folder(tmp_path: Path, given: str):
    write_npz(tmp_path / "cwd/sub/m.npz", made_up())
    write_npz(tmp_path / "home/m.npz", made_up())
    base = "home" if given.startswith("~") else "cwd"
    assert found_in(tmp_path, given).path == tmp_path / base / given.removeprefix("~/")


def test_finding_reads_no_file(
    tmp_path: Path, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a file was opened")

    for module, name in ((io, "open"), (os, "open")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr("builtins.open", refuse)
    for place in (None, *places.values()):
        found_in(tmp_path, place)


def test_importing_and_finding_import_no_numpy():
    program = (
        "import sys; from pytest_applesilicon.data import mnist; "
        "mnist.find(None).describe(); print('numpy' in sys.modules); "
        "mnist.load(mnist.Location(mnist.SHIPPED_PATH, 'npz', 'shipped')); "
        "print('numpy' in sys.modules)"
    )
    root = Path(mnist.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may enter every folder"
)
def test_a_cache_that_may_not_be_entered_is_passed_over(tmp_path: Path, places: dict[str, Path]):
    (tmp_path / "keras").chmod(0)
    location = found_in(tmp_path)
    (tmp_path / "keras").chmod(0o755)
    assert location.path == places["./data"]


# ------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("keys", [mnist.KERAS_KEYS, mnist.FIELDS], ids=["keras", "own"])
def test_an_npz_with_either_spelling_of_the_keys_is_read(tmp_path: Path, keys: tuple[str, ...]):
    path = write_npz(tmp_path / "m.npz", made_up(), keys)
    loaded = load(find(path))
    assert_holds(loaded, made_up())
    assert loaded.source == f"30 train and 20 test images from {path}"
    assert not loaded.full


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("below", ["", "MNIST/raw"])
def test_a_folder_of_idx_files_or_with_torchvisions_in_it_is_read(
    tmp_path: Path, compressed: bool, below: str
):
    write_idx(tmp_path / below, made_up(), compressed=compressed)
    location = find(tmp_path)
    assert location == Location(tmp_path / below, "idx", "explicit")
    assert_holds(load(location), made_up())


def test_a_plain_idx_file_goes_before_its_gz(tmp_path: Path):
    write_idx(tmp_path, made_up())
    for name in mnist.IDX_NAMES:
        (tmp_path / f"{name}.gz").write_bytes(b"not read")
    assert_holds(load(find(tmp_path)), made_up())


def test_labels_of_another_whole_number_dtype_become_uint8(tmp_path: Path):
    arrays = made_up()
    arrays["train_labels"] = arrays["train_labels"].astype(np.int64)
    arrays["test_labels"] = arrays["test_labels"].astype(">i4")
    assert_holds(load(find(write_npz(tmp_path / "m.npz", arrays))), made_up())


def test_images_in_another_order_in_memory_become_contiguous(tmp_path: Path):
    arrays = made_up()
    arrays["train_images"] = np.asfortranarray(arrays["train_images"])
    assert_holds(load(find(write_npz(tmp_path / "m.npz", arrays))), made_up())


@pytest.mark.parametrize(
    ("train", "test", "full"),
    [
        pytest.param(mnist.FULL_TRAIN_COUNTS, mnist.FULL_TEST_COUNTS, True, id="mnist"),
        pytest.param((6000,) * 10, mnist.FULL_TEST_COUNTS, False, id="another training set"),
        pytest.param(mnist.FULL_TRAIN_COUNTS, (1000,) * 10, False, id="another test set"),
    ],
)
def test_only_mnists_own_class_counts_make_a_set_full(
    tmp_path: Path, train: tuple[int, ...], test: tuple[int, ...], full: bool
):
    arrays = {
        "train_images": np.zeros((60_000, 28, 28), np.uint8),
        "train_labels": np.repeat(np.arange(10), train).astype(np.uint8),
        "test_images": np.zeros((10_000, 28, 28), np.uint8),
        "test_labels": np.repeat(np.arange(10), test).astype(np.uint8),
    }
    path = tmp_path / "m.npz"
    np.savez(path, **arrays)
    loaded = load(find(path))
    assert loaded.full is full
    expected = "full MNIST" if full else "60,000 train and 10,000 test images"
    assert loaded.source == f"{expected} from {path}"


# --------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("missing.npz", "nothing there"),
        ("missing/folder", "nothing there"),
        ("empty", "a folder without any idx file"),
        ("", "an empty path"),
        ("nul\0l", "nothing there"),
    ],
)
def test_an_explicit_path_without_mnist_is_an_error_that_names_it(
    tmp_path: Path, places: dict[str, Path], place: str, found: str
):
    (tmp_path / "empty").mkdir()
    given = str(tmp_path / place) if place else ""
    with pytest.raises(MnistError) as caught:
        found_in(tmp_path, given)
    assert (
        caught.value.problem
        == f"MNIST file {given or repr('')}: path: found {found}; accepted: an .npz file, a folder"
        " with the four idx files (plain or .gz), or a folder with MNIST/raw"
    )
    assert caught.value.remedy == REMEDY


def test_an_explicit_device_is_neither_a_file_nor_a_folder():
    assert "/dev/null: path: found something that is neither;" in problem_of(Path("/dev/null"))


def without(name: str) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__delitem__(name)


def replaced(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__setitem__(name, change(arrays[name]))


IMAGES = "accepted: uint8 of shape (N, 28, 28), N at least 1"
BAD_NPZ = {
    "missing key": (
        without("y_test"),
        (
            "y_test: found no such key, only x_test, x_train, y_train; accepted: the keys x_train,"
            " y_train, x_test, y_test (Keras) or train_images, train_labels, test_images,"
            " test_labels"
        ),
    ),
    "other keys": (
        lambda arrays: [arrays.__setitem__(key[::-1], arrays.pop(key)) for key in list(arrays)],
        "x_train: found no such key, only niart_x, niart_y, tset_x, tset_y; accepted: the keys",
    ),
    "no keys": (dict.clear, "x_train: found no such key, only an empty archive; accepted"),
    "flat images": (
        replaced("x_train", lambda array: array.reshape(-1, 784)),
        f"x_train: found uint8 of shape (30, 784); {IMAGES}",
    ),
    "other size": (
        replaced("x_test", lambda array: array[:, :27]),
        f"x_test: found uint8 of shape (20, 27, 28); {IMAGES}",
    ),
    "scalar": (
        replaced("x_test", lambda array: array[0, 0, 0]),
        f"x_test: found uint8 of shape (); {IMAGES}",
    ),
    "float images": (
        replaced("x_test", lambda array: array / np.float32(255)),
        f"x_test: found float32 of shape (20, 28, 28); {IMAGES}",
    ),
    "no images": (
        replaced("x_train", lambda array: array[:0]),
        f"x_train: found uint8 of shape (0, 28, 28); {IMAGES}",
    ),
    "fewer labels": (
        replaced("y_train", lambda array: array[:-1]),
        (
            "y_train: found uint8 of shape (29,); accepted: a whole-number dtype of shape (30,),"
            " one label per image"
        ),
    ),
    "one-hot labels": (
        replaced("y_test", lambda array: np.eye(10, dtype=np.uint8)[array]),
        "y_test: found uint8 of shape (20, 10); accepted: a whole-number dtype of shape (20,)",
    ),
    "float labels": (
        replaced("y_test", lambda array: array.astype(np.float64)),
        "y_test: found float64 of shape (20,); accepted: a whole-number dtype",
    ),
    "boolean labels": (
        replaced("y_test", lambda array: array > 0),
        "y_test: found bool of shape (20,); accepted: a whole-number dtype",
    ),
    "label 10": (
        replaced("y_train", lambda array: array + np.uint8(1)),
        "y_train: found labels from 1 to 10; accepted: 0 to 9",
    ),
    "label -1": (
        replaced("y_test", lambda array: array.astype(np.int16) - 1),
        "y_test: found labels from -1 to 8; accepted: 0 to 9",
    ),
    "label 256": (  # 0 as uint8
        replaced("y_test", lambda array: array.astype(np.int16) * 256),
        "y_test: found labels from 0 to 2304; accepted: 0 to 9",
    ),
    "pickled objects": (
        replaced("x_train", lambda array: array.astype(object)),
        (
            "x_train: found ValueError: Object arrays cannot be loaded when allow_pickle=False;"
            " accepted: an intact array that needs no unpickling"
        ),
    ),
}


@pytest.mark.parametrize("kind", BAD_NPZ)
def test_a_bad_array_in_an_npz_is_one_error_naming_file_and_key(tmp_path: Path, kind: str):
    change, expected = BAD_NPZ[kind]
    arrays = dict(zip(mnist.KERAS_KEYS, made_up().values(), strict=True))
    change(arrays)
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    assert problem_of(tmp_path / "m.npz").startswith(f"MNIST file {tmp_path}/m.npz: {expected}")


def test_a_pickle_in_an_npz_is_not_run(tmp_path: Path):
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    arrays = made_up()
    arrays["train_images"] = np.array([Bomb()], dtype=object)
    path = write_npz(tmp_path / "m.npz", arrays)
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Bomb()))
    assert "allow_pickle=False" in problem_of(path)
    assert "archive: found " in problem_of(tmp_path / "bare.npz")
    assert not (tmp_path / "ran").exists()


def test_an_error_of_several_lines_becomes_one_line(tmp_path: Path):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 28, 28)}".ljust(20_000).encode()
    member = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + bytes(3 * 784)
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        for key in mnist.KERAS_KEYS:
            archive.writestr(f"{key}.npy", member)
    problem = problem_of(tmp_path / "m.npz")
    assert "x_train: found ValueError: Header info length (20000) is large" in problem


def test_strange_names_in_an_archive_are_escaped_and_cut(tmp_path: Path):
    np.savez(tmp_path / "m.npz", **{"a\n\x1b[31m\u00e9": np.zeros(1), "b" * 1000: np.zeros(1)})
    found = problem_of(tmp_path / "m.npz").partition("found ")[2].partition("; accepted")[0]
    assert found.startswith("no such key, only a\\n\\x1b[31m\u00e9, bbb")
    assert found.endswith("bbb...")
    assert len(found) == 300


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_npz_is_one_error_naming_the_file(tmp_path: Path, share: float):
    path = write_npz(tmp_path / "m.npz", made_up())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    problem = problem_of(path)
    assert problem.startswith(f"MNIST file {path}: archive: found ")
    assert "; accepted: an .npz file with the keys x_train," in problem


@pytest.mark.parametrize("kind", ["npy", "text", "idx"])
def test_a_file_that_is_no_npz_is_one_error_naming_the_file(tmp_path: Path, kind: str):
    path = tmp_path / "m.npz"
    stream = io.BytesIO()
    np.save(stream, made_up()["train_images"])
    path.write_bytes(
        {
            "npy": stream.getvalue(),
            "text": b"<html>404 not found</html>",
            "idx": idx_bytes(made_up()["train_images"]),
        }[kind]
    )
    problem = problem_of(path)
    assert problem.startswith(f"MNIST file {path}: archive: found ")
    assert ("a single .npy array" in problem) == (kind == "npy")


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_npz_is_read_right_or_is_an_error_of_ours(tmp_path: Path, seed: int):
    path = write_npz(tmp_path / "m.npz", made_up(3, 2))
    content = bytearray(path.read_bytes())
    generator = random.Random(seed)
    # Headers and names as well as data: most bytes are data, so aim at the rest on purpose.
    spots = (generator.randrange(200), generator.randrange(len(content)), -1 - seed * 7)
    for spot in spots[: 1 + seed % 3]:
        content[spot] ^= 1 << generator.randrange(8)
    path.write_bytes(content)
    try:
        loaded = load(find(path))
    except MnistError as error:
        problem = error.problem
    else:
        assert_holds(loaded, made_up(3, 2))
        return
    assert str(path) in problem


BAD_IDX = {
    "magic of labels": (
        0,
        lambda content: struct.pack(">I", 2049) + content[4:],
        "train_images: found magic number 2049; accepted: magic number 2051",
    ),
    "magic of images": (
        3,
        lambda content: struct.pack(">I", 2051) + content[4:],
        "test_labels: found magic number 2051; accepted: magic number 2049",
    ),
    "truncated": (
        2,
        lambda content: content[:-1],
        (
            "test_images: found 15,695 bytes; accepted: 15,696 bytes, which the sizes in its header"
            " (20, 28, 28) need"
        ),
    ),
    "longer": (
        1,
        lambda content: content + b"\0",
        (
            "train_labels: found 39 bytes; accepted: 38 bytes, which the sizes in its header (30,)"
            " need"
        ),
    ),
    "header cut": (
        0,
        lambda content: content[:7],
        "train_images: found 7 bytes; accepted: a header of 16 bytes, then the values",
    ),
    "empty": (
        1,
        lambda content: b"",
        "train_labels: found 0 bytes; accepted: a header of 8 bytes, then the values",
    ),
    "other size": (
        0,
        lambda content: content[:8] + struct.pack(">II", 14, 56) + content[16:],
        f"train_images: found uint8 of shape (30, 14, 56); {IMAGES}",
    ),
    "label 10": (
        3,
        lambda content: content[:-1] + b"\x0a",
        "test_labels: found labels from 0 to 10; accepted: 0 to 9",
    ),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("kind", BAD_IDX)
def test_a_bad_idx_file_is_one_error_naming_it_and_the_field(
    tmp_path: Path, kind: str, compressed: bool
):
    index, change, expected = BAD_IDX[kind]
    write_idx(tmp_path, made_up(), compressed=compressed)
    path = tmp_path / (mnist.IDX_NAMES[index] + (".gz" if compressed else ""))
    content = path.read_bytes()
    if compressed:
        path.write_bytes(gzip.compress(change(gzip.decompress(content))))
    else:
        path.write_bytes(change(content))
    assert problem_of(tmp_path) == f"MNIST file {path}: {expected}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda content: content[:-20], "EOFError", id="truncated"),
        pytest.param(lambda content: b"<html>", "BadGzipFile", id="no gzip"),
        pytest.param(lambda content: content[:40] + b"\xff" * 40 + content[80:], "", id="damaged"),
    ],
)
def test_a_damaged_gz_is_one_error_naming_it_and_the_field(
    tmp_path: Path, change: Callable[[bytes], bytes], reason: str
):
    write_idx(tmp_path, made_up(), compressed=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(change(path.read_bytes()))
    problem = problem_of(tmp_path)
    assert problem.startswith(f"MNIST file {path}: test_images: found {reason}")
    assert problem.endswith("; accepted: a readable, intact file")


@pytest.mark.parametrize("name", mnist.IDX_NAMES)
def test_an_explicit_folder_with_one_idx_file_missing_is_an_error_that_names_it(
    tmp_path: Path, name: str
):
    write_idx(tmp_path, made_up())
    (tmp_path / name).unlink()
    with pytest.raises(MnistError) as caught:
        find(tmp_path)
    assert (
        caught.value.problem
        == f"MNIST file {tmp_path}: {name}: found no such file; accepted: {name} or {name}.gz"
    )


# ------------------------------------------------- bad files that nobody pointed at explicitly


def test_a_bad_cache_is_an_error_and_no_other_set_is_used(tmp_path: Path, places: dict[str, Path]):
    places["keras"].write_bytes(b"PK half a download")
    with pytest.raises(MnistError) as caught:
        load(found_in(tmp_path))
    assert f"MNIST file {places['keras']}: archive: found" in caught.value.problem
    assert str(caught.value).endswith(". Pass --mnist=PATH to another file, or remove this one")


def test_an_interrupted_download_of_torchvision_is_an_error_when_loaded(
    tmp_path: Path, places: dict[str, Path]
):
    places["keras"].unlink()
    (places["./data"] / mnist.IDX_NAMES[1]).unlink()
    location = found_in(tmp_path)  # the header of a run that needs no MNIST must not fail
    with pytest.raises(MnistError, match=f"{places['./data']}: train-labels-idx1-ubyte: found no"):
        load(location)


def test_a_bad_shipped_file_asks_for_a_new_installation(tmp_path: Path):
    with pytest.raises(MnistError, match="Reinstall pytest-applesilicon"):
        load(Location(tmp_path / "mnist_subset.npz", "npz", "shipped"))


def test_the_error_survives_the_way_between_two_processes():
    error = MnistError("problem", "Remedy")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, ValueError)
    assert (str(copy), copy.problem, copy.remedy) == ("problem. Remedy", "problem", "Remedy")
