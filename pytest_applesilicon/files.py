"""Output files that are either whole or not there, and the check of a path before a long run.

Standard library only; imports nothing else of the package.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import TypeAlias

FilePath: TypeAlias = str | os.PathLike[str]


def check_writable(path: FilePath) -> str | None:
    """Say what is wrong with ``path`` as the name of an output file, or return ``None``.

    Creates and opens nothing, so it can be asked before the tests run. A symbolic link is
    followed: what counts is the file behind it.
    """
    name = os.fspath(path)
    if not name:
        return "the path of the output file is empty"
    if name.endswith(os.sep):
        return f"{name}: names a folder (it ends in {os.sep!r}), not a file"
    target = _target(path)
    try:
        return _problem(name, target)
    except OSError as error:  # a name that is too long, for one
        return f"{name}: {error.strerror}"


def write_whole(path: FilePath, data: str | bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part.

    Text is written as UTF-8 with its line ends unchanged. The permission bits of an existing
    file are kept; a new file gets those the umask allows. The folder must exist.

    Raises:
        OSError: the path cannot be written (see ``check_writable``) or writing failed; the
            old file, if there was one, is then untouched and no temporary file is left.
    """
    problem = check_writable(path)
    if problem is not None:
        raise OSError(problem)
    content = data.encode("utf-8") if isinstance(data, str) else data
    target = _target(path)
    # In the same folder, as a rename must not cross a file system.
    temporary = target.parent / f".applesilicon-{secrets.token_hex(8)}.tmp"
    # Not tempfile.mkstemp: its mode 0600 would hide a new report from everybody else, and the
    # umask cannot be read without setting it for all threads. Here the system applies it.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        mode = _mode(target)
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    except BaseException:  # Ctrl-C included: nothing half-written may stay behind
        with contextlib.suppress(OSError):  # the first error is the one to show
            temporary.unlink()
        raise


def _target(path: FilePath) -> Path:
    """Return the file behind ``path``: a rename onto a symbolic link would replace the link."""
    return Path(os.path.realpath(path))


def _problem(name: str, target: Path) -> str | None:
    """Say why ``target`` cannot be written, first what the user can see in the path."""
    folder = target.parent
    folder_mode = _mode(folder)
    if folder_mode is None:
        return f"{name}: the folder {folder} does not exist"
    if not stat.S_ISDIR(folder_mode):
        return f"{name}: {folder} is not a folder"
    mode = _mode(target)
    if mode is not None:
        if stat.S_ISDIR(mode):
            return f"{name}: is a folder, not a file"
        if not stat.S_ISREG(mode):
            # Renaming over /dev/null would replace the device for the whole machine.
            return f"{name}: is not a regular file"
        if not os.access(target, os.W_OK):
            # A rename would succeed, but whoever made it read-only did not want it replaced.
            return f"{name}: is not writable"
    if not os.access(folder, os.W_OK | os.X_OK):  # the temporary file needs that right
        return f"{name}: the folder {folder} is not writable"
    return None


def _mode(path: Path) -> int | None:
    """Return the type and permission bits of what is at ``path``, ``None`` if nothing is."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
