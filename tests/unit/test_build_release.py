"""An archive that is packed again holds the same files, and nothing of who packed it and when."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location(
        "build_release", ROOT / "tools" / "build_release.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def packed(path: Path, names: list[str], **fields) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            for field, value in fields.items():
                setattr(entry, field, value)
            archive.addfile(entry, io.BytesIO(name.encode()))


def test_the_same_files_packed_by_two_people_at_two_times_are_the_same_bytes(program, tmp_path):
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    packed(one, ["p/a", "p/b"], mtime=1.5, uid=1000, uname="me", mode=0o600)
    packed(two, ["p/b", "p/a"], mtime=2e9, gid=20, gname="staff", mode=0o664)

    program.repack(one, 1000)
    program.repack(two, 1000)

    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as archive:
        assert [(entry.name, entry.mtime, entry.mode) for entry in archive.getmembers()] == [
            ("p/a", 1000, 0o644),
            ("p/b", 1000, 0o644),
        ]
        assert archive.extractfile("p/a").read() == b"p/a"


def test_other_content_is_other_bytes(program, tmp_path):
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    packed(one, ["p/a"])
    packed(two, ["p/c"])

    program.repack(one, 1000)
    program.repack(two, 1000)

    assert one.read_bytes() != two.read_bytes()


def test_the_time_is_that_of_the_commit_and_a_constant_without_git(program, tmp_path):
    assert program.epoch(tmp_path) == 1577836800

    def git(*arguments: str) -> None:
        told = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        subprocess.run(
            told,
            cwd=tmp_path,
            check=True,
            env={"GIT_COMMITTER_DATE": "1700000000 +0000", "PATH": "/usr/bin:/bin"},
        )

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    assert program.epoch(tmp_path) == 1700000000
