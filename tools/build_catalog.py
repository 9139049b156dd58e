"""Build the catalog of MPS support from the released macOS wheels of torch.

    python tools/build_catalog.py CACHE [--releases 2.13.0,2.15.0] [--write FOLDER] [--keep-wheels]

Asks pip for the releases from 2.0.0 on, downloads the macOS arm64 wheel of one after the other,
reads the operator table, the registrations in ``libtorch_cpu.dylib`` and PyTorch's own list of
expected failures, and deletes the wheel. What was read stays in CACHE as one file a release, so
that a build that was stopped goes on where it was. The data files are written to FOLDER
(``pytest_applesilicon/catalog/data``) when all releases are read, and never in part; they depend
on the wheels alone. Prints where the table and the registrations differ.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import operator_table
import registrations
from packaging.version import InvalidVersion, Version

from pytest_applesilicon.catalog import expected
from pytest_applesilicon.catalog.reading import CODES, LAYOUTS, Status
from pytest_applesilicon.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST = Version("2.0.0")
LIBRARY = "torch/lib/libtorch_cpu.dylib"
SHIPPED = Path(__file__).parents[1] / "pytest_applesilicon/catalog/data"

#: pip takes a wheel for this macOS or any older one; the kernels are the same for each Python.
PLATFORM = "macosx_26_0_arm64"
PYTHONS = ("3.11", "3.13", "3.10", "3.9", "3.8")

#: Raised when what is kept of a wheel changes: files of another form are read anew.
EXTRACT = 2

#: Text of aten/src/ATen/mps in the library: where MPS is refused, and where ``is_macos13_or_newer``
#: was the only question.
_MPS_MACOS = re.compile(rb"MPS backend is supported on [Mm]acOS (\d+(?:\.\d+)?)")

#: ``lib = torch.library.Library("aten", "IMPL", "MPS")``, and ``lib.impl(name, function, "MPS")``.
_OF_MPS = re.compile(r'(\w+) = (?:torch\.library\.)?Library\("aten", "IMPL", "MPS"\)')
_QUOTED = r'"(?:aten::)?([\w.]+)"'
_IMPL = re.compile(rf'\.impl\(\s*{_QUOTED},\s*\w+,\s*"MPS"')

_HEAD = "# Written by tools/build_catalog.py from the macOS wheels of torch; do not edit.\n"


class BuildError(Exception):
    """A release cannot be read; the text says which and why."""


def main() -> int:
    """Read what is not read yet, then write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--releases", default="", help="separated by commas; the default is all")
    parser.add_argument("--write", type=Path, default=SHIPPED, metavar="FOLDER")
    parser.add_argument("--keep-wheels", action="store_true")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    try:
        releases = [one for one in given.releases.split(",") if one] or published()
        extracts = [
            extract
            for version in progress(releases)
            for extract in [one_release(version, given.cache, given.keep_wheels)]
        ]
        texts = files(extracts)
    except (BuildError, OSError) as error:
        print(f"build_catalog: {error}", file=sys.stderr)
        return 1
    for line in differences(extracts):
        print(line)
    given.write.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_whole(given.write / name, text)
        print(f"{given.write / name}: {len(text.encode())} bytes")
    return 0


def progress(releases: Sequence[str]) -> Any:
    """The releases, with a bar on the standard error stream."""
    with click.progressbar(
        releases, label="reading wheels", item_show_func=lambda one: one or "", file=sys.stderr
    ) as bar:
        yield from bar


def published() -> list[str]:
    """The final releases of torch that pip knows, from the oldest of the catalog on."""
    status, out, error = pip("index", "versions", "torch")
    found = re.search(r"Available versions: (.*)", out)
    if status or not found:
        raise BuildError(f"pip does not list the versions of torch: {_last(error)}")
    versions = set()
    for text in found[1].split(","):
        try:
            one = Version(text.strip())
        except InvalidVersion:
            continue
        if one >= FIRST and not one.is_prerelease and not one.is_postrelease and not one.local:
            versions.add(one)
    return [str(one) for one in sorted(versions)]


def one_release(version: str, cache: Path, keep: bool) -> dict[str, Any]:
    """What is known of a release: from CACHE, or from its wheel."""
    kept = cache / f"{version}.json"
    if kept.is_file():
        known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        if known.get("extract") == EXTRACT:
            return known
    wheels = sorted(cache.glob(f"torch-{version}-*.whl"))
    wheel = wheels[-1] if wheels else download(version, cache)
    found = read_wheel(wheel)
    write_whole(kept, json.dumps(found, indent=1, sort_keys=True) + "\n")
    if not keep:
        wheel.unlink()
    return found


def download(version: str, cache: Path) -> Path:
    """The macOS wheel of a release, whole; another Python is tried where one has none."""
    error = ""
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        for python in PYTHONS:
            status, _, error = pip(
                "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder,
                "--platform", PLATFORM, "--python-version", python, f"torch=={version}",
            )  # fmt: skip
            if status == 0:
                wheel = next(iter(Path(folder).glob("*.whl")))
                return wheel.rename(cache / wheel.name)
    raise BuildError(f"torch {version}: pip has no macOS wheel for arm64: {_last(error)}")


def pip(*arguments: str) -> tuple[int, str, str]:
    """The status, output and errors of pip."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]


def read_wheel(wheel: Path) -> dict[str, Any]:
    """What the catalog needs of a wheel.

    Raises:
        BuildError: the wheel is truncated, or lacks what every macOS wheel of torch has.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            metadata = next(one for one in sorted(names) if one.endswith(".dist-info/METADATA"))
            texts = {
                name: archive.read(name).decode() if name in names else ""
                for name in (metadata, operator_table.MEMBER, expected.MEMBER)
            }
            library = archive.read(LIBRARY)
            in_python = python_kernels(archive)
        table = operator_table.parse(texts[operator_table.MEMBER])
        found = registrations.read(library, frozenset(table))
        refused = _refused(texts[expected.MEMBER])
    except (zipfile.BadZipFile, KeyError, StopIteration, EOFError, ValueError) as error:
        raise BuildError(f"{wheel.name}: {error or 'it has no METADATA'}") from None
    strided = found["MPS"]
    described = _MPS_MACOS.search(library)
    python = re.search(r"^Requires-Python: (.*)$", texts[metadata], re.MULTILINE)
    return {
        "extract": EXTRACT,
        "version": wheel.name.split("-")[1],
        "wheel": wheel.name,
        "wheel_macos": _macos(wheel.name),
        "mps_macos": described[1].decode() if described else "",
        "python": python[1] if python else "",
        "statuses": operator_table.statuses(
            table, strided.kernels | in_python, strided.fallbacks - in_python
        ),
        "sparse_coo": sorted(found["SparseMPS"].kernels),
        "sparse_csr": sorted(found["SparseCsrMPS"].kernels),
        "refused": refused,
        "in_python": sorted(in_python),
        "only_listed": sorted(operator_table.listed(table, "MPS") - strided.kernels),
        "only_registered": sorted(
            (strided.kernels | strided.fallbacks) - operator_table.listed(table, "MPS")
        ),
    }


def python_kernels(archive: zipfile.ZipFile) -> frozenset[str]:
    """The overloads for which Python code of the wheel registers a kernel with MPS."""
    found: set[str] = set()
    for name in archive.namelist():
        if name.startswith("torch/") and name.endswith(".py") and "/testing/" not in name:
            source = archive.read(name).decode(errors="replace")
            for library in _OF_MPS.findall(source):
                found |= set(re.findall(rf"\b{library}\.impl\(\s*{_QUOTED}", source))
            if '"MPS"' in source:
                found |= set(_IMPL.findall(source))
    return frozenset(found)


def _macos(wheel: str) -> str:
    found = re.search(r"macosx_(\d+)_(\d+)_", wheel)
    if found is None:
        raise ValueError("its name has no macOS tag")
    return f"{found[1]}.{found[2]}"


def _refused(source: str) -> dict[str, list[str]]:
    """The dtypes in which an operator is expected to fail, where they are not all."""
    if not source:
        return {}
    found = {name: set(one) for name, one in expected.unimplemented(source).items() if one}
    for name in expected.without_complex(source):
        found.setdefault(name, set()).add("complex64")
    return {name: sorted(dtypes) for name, dtypes in found.items()}


def files(extracts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The text of each data file."""
    ordered = sorted(extracts, key=lambda one: Version(one["version"]))
    return {
        "releases.tsv": _HEAD + "".join(_release_line(one) for one in ordered),
        "overloads.tsv": _HEAD + "".join(_overload_lines(ordered)),
        "refused.tsv": _HEAD + "".join(_refused_lines(ordered)),
    }


def _release_line(one: Mapping[str, Any]) -> str:
    native = [name for name, status in one["statuses"].items() if status == "native"]
    operators = {name.partition(".")[0] for name in native}
    fields = ("version", "wheel_macos", "mps_macos", "python")
    return (
        "\t".join([*(one[name] for name in fields), str(len(native)), str(len(operators))]) + "\n"
    )


def _overload_lines(ordered: Sequence[Mapping[str, Any]]) -> list[str]:
    versions = [one["version"] for one in ordered]
    lines = []
    for name in sorted({name for one in ordered for name in one["statuses"]}):
        columns = [_changes([one["statuses"].get(name, "absent") for one in ordered], versions)]
        for layout in LAYOUTS[1:]:
            has: list[Status] = ["native" if name in one[layout] else "absent" for one in ordered]
            columns.append(_changes(has, versions))
        lines.append("\t".join([name, *columns]).rstrip("\t") + "\n")
    return lines


def _changes(statuses: Sequence[Status], versions: Sequence[str]) -> str:
    """``M2.0.0 N2.6.0``; what is absent at first is not said."""
    told, before = [], "absent"
    for status, version in zip(statuses, versions, strict=True):
        if status != before:
            told.append(CODES[status] + version)
        before = status
    return " ".join(told)


def _refused_lines(ordered: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for name in sorted({name for one in ordered for name in one["refused"]}):
        told, before = [], ""
        for one in ordered:
            dtypes = ",".join(one["refused"].get(name, ()))
            if dtypes != before:
                told.append(f"{one['version']}={dtypes}")
            before = dtypes
        lines.append(f"{name}\t{' '.join(told)}\n")
    return lines


def differences(extracts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where the table and the registrations of a release differ."""
    return [
        f"torch {one['version']}: {meaning}: {', '.join(one[key])}"
        for one in extracts
        for key, meaning in (
            ("only_listed", "listed and not registered"),
            ("only_registered", "registered in C++ alone"),
            ("in_python", "registered in Python"),
        )
        if one[key]
    ]


if __name__ == "__main__":
    sys.exit(main())
