"""The commit and the tree that a folder is checked out at, as git says.

Starts git, so it is asked only where a report is written or signed.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_applesilicon.records import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIMEOUT_S = 30


class GitError(RuntimeError):
    """git is not there, or did not answer as it should; the text says what it said."""


def git(folder: Path, *arguments: str) -> str:
    """What git prints, without the line end.

    Raises:
        GitError: there is no git, or it ended with another status than 0.
    """
    program = shutil.which("git")
    if program is None:
        raise GitError("git is not installed")
    try:
        done = subprocess.run(
            [program, "-C", str(folder), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git {arguments[0]}: {error}") from None
    if done.returncode:
        raise GitError(f"git {arguments[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout.rstrip("\n")


def read(folder: Path, *, leaving_out: Iterable[Path] = ()) -> Source:
    """The commit a folder is at, and whether it is clean but for the files left out.

    Raises:
        GitError: it is not in a checkout that has a commit.
    """
    commit, tree = git(folder, "rev-parse", "HEAD", "HEAD^{tree}").splitlines()
    root = git(folder, "rev-parse", "--show-toplevel")
    # The whole checkout, not only this folder: a library beside the tests is what they test.
    left_out = [f":(exclude,top,literal){name}" for name in below(root, leaving_out)]
    changed = git(
        folder, "status", "--porcelain", "--untracked-files=all", "--", ":(top)", *left_out
    )
    return Source(commit, tree, clean=not changed)


def below(root: str, paths: Iterable[Path]) -> list[str]:
    """The paths that are inside the checkout, relative to its top."""
    top = Path(root).resolve()
    inside = [path.resolve() for path in paths if path.resolve().is_relative_to(top)]
    return [path.relative_to(top).as_posix() for path in inside]
