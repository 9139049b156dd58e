"""Build the wheel and the sdist so that the same commit gives the same bytes.

The time of the commit is the time of every file (SOURCE_DATE_EPOCH); the sdist, whose archive
setuptools stamps with the time of the build, is packed again with its entries sorted.

    python tools/build_release.py FOLDER
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def epoch(root: Path) -> int:
    """Seconds since 1970 of the commit; of 2020-01-01 where there is no git."""
    git = shutil.which("git")
    told = (
        subprocess.run(
            [git or "git", "-C", str(root), "log", "-1", "--format=%ct"],
            capture_output=True,
            text=True,
            check=False,
        )
        if git
        else None
    )
    return int(told.stdout) if told is not None and told.returncode == 0 else 1577836800


def repack(sdist: Path, at: int) -> None:
    """The same files, in an archive that holds nothing of who built it and when."""
    packed = io.BytesIO()
    with (
        tarfile.open(sdist) as old,
        gzip.GzipFile("", "wb", mtime=at, fileobj=packed) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for entry in sorted(old.getmembers(), key=lambda one: one.name):
            entry.mtime = at
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            entry.pax_headers = {}
            new.addfile(entry, old.extractfile(entry) if entry.isfile() else None)
    sdist.write_bytes(packed.getvalue())


def build(folder: Path, root: Path = ROOT) -> list[Path]:
    """Build into an empty folder; returns the sdist and the wheel.

    Raises:
        subprocess.CalledProcessError: the build failed.
    """
    at = epoch(root)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(at)}
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(root)]
    # A wheel holds the modes of its files, which are what the umask lets be.
    subprocess.run(command, env=environment, check=True, umask=0o022)
    (sdist,) = folder.glob("*.tar.gz")
    repack(sdist, at)
    return sorted(folder.iterdir())


if __name__ == "__main__":
    for path in build(Path(sys.argv[1])):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
