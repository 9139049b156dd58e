"""Download released macOS wheels and hold the architectures in their binaries against their tags.

    python tools/read_wheels.py CACHE [--only NAME,NAME]

CACHE is a folder for the wheels; a wheel that is there is not downloaded again, and the large
ones are deleted once they are read (their result stays in CACHE/results.json). Each Mach-O file
is read by ``pytest_applesilicon.doctor.macho`` and by macholib, and the two must agree. Ends
with status 1 if a file of a wheel lacks an architecture of the tag, or the readers differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from macholib.MachO import MachO

from pytest_applesilicon.doctor import macho

ARM, INTEL = "macosx_14_0_arm64", "macosx_14_0_x86_64"

#: Requirement, Python and platform. With x86_64 alone pip takes universal2 where there is one.
WHEELS: tuple[tuple[str, str, str], ...] = (
    *((name, "3.12", platform) for platform in (ARM, INTEL) for name in (
        "numpy<2.3", "scipy<1.16", "pandas<2.3", "cryptography", "grpcio", "pillow<12",
        "msgspec<0.20", "psutil", "pyyaml", "lxml<6", "protobuf<7", "markupsafe", "ml-dtypes<0.6",
    )),
    ("mlx-metal", "3.12", ARM), ("mlx", "3.12", ARM), ("safetensors", "3.12", ARM),
    ("safetensors", "3.12", INTEL), ("tokenizers", "3.12", ARM), ("coremltools", "3.11", ARM),
    ("matplotlib", "3.12", ARM), ("h5py", "3.12", ARM), ("scikit-learn", "3.12", ARM),
    ("tensorflow-metal==1.2.0", "3.12", ARM), ("tensorflow-metal==1.0.0", "3.11", INTEL),
    ("aiohttp", "3.12", ARM), ("charset-normalizer", "3.12", ARM), ("orjson", "3.12", ARM),
    ("cffi", "3.12", INTEL), ("greenlet", "3.12", ARM), ("cython", "3.12", ARM),
    ("torch==2.13.0", "3.12", ARM), ("tensorflow==2.19.1", "3.12", ARM),
)  # fmt: skip

#: Wheels larger than this are deleted once they are read.
LARGE_BYTES = 60 * 2**20

_OF_TAG = {"arm64": ("arm64",), "x86_64": ("x86_64",), "universal2": ("arm64", "x86_64")}


def download(requirement: str, python: str, platform: str, folder: Path) -> Path | str:
    """The wheel pip picks, in ``folder``, or pip's last line of error."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--platform", platform, "--python-version", python, "--dest", str(folder), requirement,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    return next(iter(folder.glob("*.whl")))


def read(wheel: Path) -> dict[str, Any]:
    """What the Mach-O files of a wheel hold, against its tag."""
    tag = wheel.stem.rpartition("_")[2] if "macosx" in wheel.stem else "any"
    tag = next((name for name in _OF_TAG if wheel.stem.endswith(name)), tag)
    found: dict[str, int] = {}
    lacking: list[str] = []
    problems: list[str] = []
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as name:
        for member in archive.namelist():
            if not member.endswith((".so", ".dylib")):
                continue
            path = Path(archive.extract(member, name))
            try:
                ours = macho.architectures(path)
            except macho.MachOError as error:
                problems.append(f"{member}: {error}")
                continue
            theirs = by_macholib(path)
            if theirs is not None and sorted(ours) != sorted(theirs):
                problems.append(f"{member}: {ours}, macholib says {theirs}")
            text = "+".join(sorted(ours))
            found[text] = found.get(text, 0) + 1
            if not set(_OF_TAG.get(tag, ())) <= set(ours):
                lacking.append(f"{member}: {text}")
            path.unlink()
    return {"wheel": wheel.name, "tag": tag, "found": found, "lacking": lacking,
            "problems": problems}  # fmt: skip


def by_macholib(path: Path) -> tuple[str, ...] | None:
    """The architectures macholib finds; ``None`` where it refuses the file."""
    names = {0x01000007: "x86_64", 0x0100000C: "arm64", 7: "i386", 12: "arm"}
    try:
        headers = MachO(str(path)).headers
    except Exception as error:  # it raises what struct and its own tables raise
        print(f"  macholib refuses {path.name}: {error}", file=sys.stderr)
        return None
    return tuple(names.get(one.header.cputype, str(one.header.cputype)) for one in headers)


def main() -> int:
    """Read every wheel; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--only", default="", help="names of packages, separated by commas")
    asked = parser.parse_args()
    only = tuple(filter(None, asked.only.split(",")))
    store = asked.cache / "results.json"
    known: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    results = []
    for requirement, python, platform in WHEELS:
        if only and not requirement.startswith(only):
            continue
        key = f"{requirement} {python} {platform}"
        if key not in known:
            print(f"{key} ...", file=sys.stderr, flush=True)
            folder = asked.cache / key.replace(" ", "-").replace("<", "lt").replace("==", "-")
            wheel = download(requirement, python, platform, folder)
            if isinstance(wheel, str):
                print(f"  not to be had: {wheel}", file=sys.stderr)
                continue
            known[key] = read(wheel)
            if wheel.stat().st_size > LARGE_BYTES:
                wheel.unlink()
            store.write_text(json.dumps(known, indent=1))
        results.append(known[key])
    return show(results)


def show(results: list[dict[str, Any]]) -> int:
    """Print one line a wheel; returns the exit status."""
    for one in sorted(results, key=lambda one: str(one["wheel"]).lower()):
        held = ", ".join(f"{count} {names}" for names, count in one["found"].items()) or "none"
        print(f"{one['wheel'][:74]:74} {one['tag']:10} {held}")
        for line in (*one["lacking"], *one["problems"]):
            print(f"    {line}")
    wrong = sum(bool(one["lacking"] or one["problems"]) for one in results)
    files = sum(sum(one["found"].values()) for one in results)
    tags = {tag: sum(one["tag"] == tag for one in results) for tag in ("any", *_OF_TAG)}
    print(f"{len(results)} wheels ({tags}), {files} Mach-O files, {wrong} differ from their tag")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
