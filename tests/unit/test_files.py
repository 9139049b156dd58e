"""Output files are whole or not there, and a bad path is known before anything runs."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from pytest_applesilicon.files import check_writable, write_whole

as_root = hasattr(os, "geteuid") and os.geteuid() == 0
not_as_root = pytest.mark.skipif(as_root, reason="root may write everywhere")


@pytest.mark.parametrize(
    ("data", "content"),
    [
        pytest.param("\u00e9\r\nb\n", b"\xc3\xa9\r\nb\n", id="text"),
        pytest.param(b"\0\xff\n", b"\0\xff\n", id="bytes"),
        pytest.param("", b"", id="empty"),
    ],
)
def test_what_is_written_is_what_was_given(tmp_path: Path, data: str | bytes, content: bytes):
    write_whole(tmp_path / "out", data)
    assert (tmp_path / "out").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_longer_old_file_is_replaced_as_a_whole(tmp_path: Path):
    (tmp_path / "out").write_text("a long old text")
    write_whole(str(tmp_path / "out"), "new")
    assert (tmp_path / "out").read_text() == "new"


def test_an_existing_file_keeps_its_permission_bits(tmp_path: Path):
    (tmp_path / "out").write_text("old")
    (tmp_path / "out").chmod(0o640)
    write_whole(tmp_path / "out", "new")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_new_file_gets_the_permission_bits_the_umask_allows(tmp_path: Path):
    (tmp_path / "ordinary").write_text("")
    write_whole(tmp_path / "out", "new")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_the_file_behind_a_symbolic_link_is_written_and_the_link_stays(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_text("old")
    (tmp_path / "link").symlink_to("folder/real")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "real").read_text() == "new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
):
    def fail(*arguments: object) -> None:
        raise failure

    (tmp_path / "out").write_text("old")
    monkeypatch.setattr(*((os, step, fail) if step == "fsync" else (Path, step, fail)))
    with pytest.raises(type(failure)):
        write_whole(tmp_path / "out", "new")
    assert (tmp_path / "out").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_content_is_on_the_disk_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("fsync"), fsync(file)))
    monkeypatch.setattr(
        Path, "replace", lambda path, to: (steps.append("replace"), replace(path, to))[1]
    )
    write_whole(tmp_path / "out", "new")
    assert steps == ["fsync", "replace"]


def bad_paths(folder: Path) -> dict[str, tuple[str, str]]:
    """Return output paths that cannot be written, each with the words that say why."""
    (folder / "file").write_text("")
    (folder / "folder").mkdir()
    return {
        "missing folder": (f"{folder}/no/out", f"the folder {folder}/no does not exist"),
        "file as folder": (f"{folder}/file/out", f"{folder}/file is not a folder"),
        "below a file": (f"{folder}/file/no/out", f"the folder {folder}/file/no does not exist"),
        "folder": (f"{folder}/folder", "is a folder, not a file"),
        "trailing slash": (f"{folder}/new/", "names a folder"),
        "empty": ("", "the path of the output file is empty"),
        "device": (os.devnull, "is not a regular file"),
        "long name": (f"{folder}/{'x' * 300}", "too long"),
    }


KINDS = [
    "missing folder",
    "file as folder",
    "below a file",
    "folder",
    "trailing slash",
    "empty",
    "device",
    "long name",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_path_is_named_with_its_reason_before_and_while_writing(tmp_path: Path, kind: str):
    path, reason = bad_paths(tmp_path)[kind]
    before = sorted(tmp_path.rglob("*"))
    problem = check_writable(path)
    assert problem is not None
    assert problem.startswith(f"{path}: ") or not path
    assert reason in problem
    with pytest.raises(OSError, match=re.escape(problem)) as caught:
        write_whole(path, "new")
    assert str(caught.value) == problem
    assert sorted(tmp_path.rglob("*")) == before


@not_as_root
def test_a_read_only_folder_and_a_read_only_file_are_not_writable(tmp_path: Path):
    (tmp_path / "out").write_text("old")
    (tmp_path / "out").chmod(0o444)
    assert check_writable(tmp_path / "out") == f"{tmp_path / 'out'}: is not writable"
    tmp_path.chmod(0o555)
    problem = check_writable(tmp_path / "new")
    tmp_path.chmod(0o755)
    assert problem == f"{tmp_path / 'new'}: the folder {tmp_path} is not writable"


@pytest.mark.parametrize("name", ["new", "old", "dangling"])
def test_a_good_path_has_no_problem_and_nothing_is_created(tmp_path: Path, name: str):
    (tmp_path / "old").write_text("old")
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.iterdir())
    assert check_writable(tmp_path / name) is None
    assert sorted(tmp_path.iterdir()) == before


def test_a_name_without_a_folder_is_in_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert check_writable("out") is None
    write_whole("out", "new")
    assert (tmp_path / "out").read_text() == "new"
