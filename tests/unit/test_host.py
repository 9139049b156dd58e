"""Detecting the machine: parsing recorded text, reading through a fake libc, describing in a line.

No Mac is needed: every file under ``recorded/`` names in its first lines what it was made from.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import dataclasses
import errno
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_applesilicon import host as host_module
from pytest_applesilicon import host_reading
from pytest_applesilicon.host import describe, detect, parse
from pytest_applesilicon.host_reading import (
    LINUX_FILES,
    NUMBER_KEYS,
    TEXT_KEYS,
    Readings,
    parse_sysctl,
    read,
    read_ioreg,
    read_sysctl,
    read_text,
    system_library,
)
from pytest_applesilicon.records import CoreLevel, Host

RECORDED = Path(__file__).parent / "recorded"
GB = 2**30


def recorded(situation: str) -> Readings:
    """The readings in the files of ``situation``, without their header comments."""
    texts = {}
    for file in sorted((RECORDED / situation).glob("*.txt")):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        texts[file.stem] = "".join(line for line in lines if not line.startswith("#"))
    facts = dict(line.split(": ") for line in texts.pop("platform").splitlines())
    sysctl = parse_sysctl(texts.pop("sysctl", ""))
    return Readings(facts["system"], facts["machine"], sysctl, texts)


def levels(*pairs: tuple[str, int]) -> tuple[CoreLevel, ...]:
    return tuple(CoreLevel(name, cores) for name, cores in pairs)


def mac(os_version: str | None, chip: str | None, generation: str | None, **facts: Any) -> Host:
    """An expected native Mac with Apple silicon, except for what ``facts`` say."""
    native = {"virtual": False, "machine": "arm64", "interpreter": "arm64"}
    return Host("macOS", os_version, chip=chip, generation=generation, **{**native, **facts})


ROSETTA_FACTS: dict[str, Any] = {
    "model": "Mac15,8",
    "core_levels": levels(("Performance", 12), ("Efficiency", 4)),
    "cpu_cores": 16,
    "memory_bytes": 64 * GB,
    "interpreter": "x86_64",
    "translated": True,
}
LINUX_X86: dict[str, Any] = {"cpu_cores": 2, "machine": "x86_64", "interpreter": "x86_64"}

#: Per situation: the host that must come out, and the line for people.
SITUATIONS: dict[str, tuple[Host, str]] = {
    "m1": (
        mac(
            "12.1",
            "Apple M1",
            "M1",
            model="Macmini9,1",
            core_levels=levels(("Performance", 4), ("Efficiency", 4)),
            cpu_cores=8,
            gpu_cores=8,
            memory_bytes=16 * GB,
        ),
        "Apple M1 (4 Performance + 4 Efficiency cores, 8 GPU cores, 16 GB), macOS 12.1, arm64",
    ),
    "m1_pro": (
        mac(
            "14.5",
            "Apple M1 Pro",
            "M1",
            model="MacBookPro18,1",
            core_levels=levels(("Performance", 8), ("Efficiency", 2)),
            cpu_cores=10,
            gpu_cores=16,
            memory_bytes=16 * GB,
        ),
        "Apple M1 Pro (8 Performance + 2 Efficiency cores, 16 GPU cores, 16 GB), macOS 14.5, arm64",
    ),
    "m1_pro_unnamed_levels": (
        mac(
            "12.2",
            "Apple M1 Pro",
            "M1",
            core_levels=levels(("level 0", 8), ("level 1", 2)),
            cpu_cores=10,
        ),
        "Apple M1 Pro (8 level 0 + 2 level 1 cores), macOS 12.2, arm64",
    ),
    "m4_max": (
        mac(
            "26.4",
            "Apple M4 Max",
            "M4",
            model="Mac16,9",
            core_levels=levels(("Performance", 12), ("Efficiency", 4)),
            cpu_cores=16,
            gpu_cores=40,
            memory_bytes=128 * GB,
        ),
        (
            "Apple M4 Max (12 Performance + 4 Efficiency cores, 40 GPU cores, 128 GB), "
            "macOS 26.4, arm64"
        ),
    ),
    "m5_pro": (
        mac(
            "26.5.2",
            "Apple M5 Pro",
            "M5",
            core_levels=levels(("Super", 5), ("Performance", 10)),
            cpu_cores=15,
            gpu_cores=16,
            memory_bytes=24 * GB,
        ),
        "Apple M5 Pro (5 Super + 10 Performance cores, 16 GPU cores, 24 GB), macOS 26.5.2, arm64",
    ),
    "m6": (
        mac(
            "27.0.1",
            "Apple M6",
            "M6",
            core_levels=levels(("Super", 2), ("Performance", 4), ("Efficiency", 6)),
            cpu_cores=12,
            gpu_cores=12,
            memory_bytes=32 * GB,
        ),
        (
            "Apple M6 (2 Super + 4 Performance + 6 Efficiency cores, 12 GPU cores, 32 GB), "
            "macOS 27.0.1, arm64"
        ),
    ),
    "a18_pro": (
        mac(
            "26.6.2",
            "Apple A18 Pro",
            "A18",
            model="Mac17,5",
            core_levels=levels(("Performance", 2), ("Efficiency", 4)),
            cpu_cores=6,
            memory_bytes=8 * GB,
        ),
        "Apple A18 Pro (2 Performance + 4 Efficiency cores, 8 GB), macOS 26.6.2, arm64",
    ),
    "m9_hyper": (
        mac(
            "31.0",
            "Apple M9 Hyper",
            "M9",
            model="Mac22,1",
            core_levels=levels(("Hyper", 3), ("Super", 9)),
            cpu_cores=12,
            memory_bytes=64 * GB,
        ),
        "Apple M9 Hyper (3 Hyper + 9 Super cores, 64 GB), macOS 31.0, arm64",
    ),
    "x1_foo": (
        mac(
            "40.2",
            "Apple X1 Foo",
            None,
            model="Mac40,1",
            core_levels=levels(("Performance", 4), ("Efficiency", 4)),
            cpu_cores=8,
            memory_bytes=16 * GB,
        ),
        "Apple X1 Foo (4 Performance + 4 Efficiency cores, 16 GB), macOS 40.2, arm64",
    ),
    "hosted_runner": (
        mac(
            "15.5",
            "Apple M1 (Virtual)",
            "M1",
            model="VirtualMac2,1",
            cpu_cores=3,
            memory_bytes=7 * GB,
            virtual=True,
        ),
        "Apple M1 (Virtual) (3 cores, 7 GB), macOS 15.5, arm64, virtual machine",
    ),
    "intel_mac": (
        mac(
            "12.4",
            "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz",
            None,
            model="MacBookPro16,1",
            cpu_cores=6,
            memory_bytes=16 * GB,
            machine="x86_64",
            interpreter="x86_64",
        ),
        "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz (6 cores, 16 GB), macOS 12.4, x86_64",
    ),
    "rosetta": (
        mac("14.1", "Apple M3 Max", "M3", gpu_cores=40, **ROSETTA_FACTS),
        (
            "Apple M3 Max (16 cores, 40 GPU cores, 64 GB), macOS 14.1, "
            "x86_64 Python translated by Rosetta on arm64"
        ),
    ),
    "rosetta_virtual_apple": (
        mac("14.1", None, None, **ROSETTA_FACTS),
        "Mac15,8 (16 cores, 64 GB), macOS 14.1, x86_64 Python translated by Rosetta on arm64",
    ),
    "linux_x86_64": (
        Host(
            "Linux",
            "Ubuntu 22.04",
            chip="Intel(R) Core(TM) i5-7200U CPU @ 2.50GHz",
            memory_bytes=16314484 * 1024,
            virtual=False,
            **LINUX_X86,
        ),
        "Intel(R) Core(TM) i5-7200U CPU @ 2.50GHz (2 cores, 16 GB), Linux (Ubuntu 22.04), x86_64",
    ),
    "linux_x86_64_virtual": (
        Host(
            "Linux",
            "Debian GNU/Linux 12",
            chip="AMD EPYC 7763 64-Core Processor",
            memory_bytes=16365468 * 1024,
            virtual=True,
            **LINUX_X86,
        ),
        (
            "AMD EPYC 7763 64-Core Processor (2 cores, 16 GB), "
            "Linux (Debian GNU/Linux 12), x86_64, virtual machine"
        ),
    ),
    "linux_aarch64": (
        Host(
            "Linux",
            "Arch Linux",
            cpu_cores=4,
            memory_bytes=8129436 * 1024,
            machine="arm64",
            interpreter="arm64",
        ),
        "unknown chip (4 cores, 8 GB), Linux (Arch Linux), arm64",
    ),
    "windows": (
        Host("Windows", "10.0.22631", machine="x86_64", interpreter="x86_64"),
        "unknown chip, Windows 10.0.22631, x86_64",
    ),
}


class TestParsing:
    @pytest.mark.parametrize("situation", SITUATIONS)
    def test_recorded_text_gives_the_host_it_came_from(self, situation: str) -> None:
        assert parse(recorded(situation)) == SITUATIONS[situation][0]

    def test_every_recorded_situation_is_expected_here_and_says_where_it_is_from(self) -> None:
        assert {path.name for path in RECORDED.iterdir()} == set(SITUATIONS)
        for file in RECORDED.glob("*/*.txt"):
            first, second = file.read_text(encoding="utf-8").splitlines()[:2]
            assert first.startswith("# Reconstructed from the sources below, not recorded")
            assert second.startswith("# Source: ")

    def test_an_empty_reading_is_an_unknown_host(self) -> None:
        assert parse(Readings()) == Host("unknown")
        assert parse(Readings("Darwin")) == Host("macOS")
        assert parse(Readings("Linux")) == Host("Linux")

    def test_the_registry_names_the_chip_that_rosetta_hides(self) -> None:
        hidden = recorded("rosetta_virtual_apple")
        readings = dataclasses.replace(hidden, texts=recorded("rosetta").texts)
        assert parse(readings) == SITUATIONS["rosetta"][0]

    def test_rosetta_on_linux_does_not_become_a_chip_name(self) -> None:
        cpuinfo = "processor : 0\nvendor_id : VirtualApple\nmodel name : VirtualApple @ 2.50GHz\n"
        assert parse(Readings("Linux", "x86_64", texts={"cpuinfo": cpuinfo})).chip is None

    @pytest.mark.parametrize(
        ("answers", "machine", "translated", "hardware"),
        [
            ({"sysctl.proc_translated": "1"}, "x86_64", True, "arm64"),
            ({"hw.optional.arm64": "1"}, "x86_64", True, "arm64"),
            ({"hw.optional.arm64": "0"}, "x86_64", False, "x86_64"),
            ({"hw.optional.arm64": "1", "sysctl.proc_translated": "0"}, "arm64", False, "arm64"),
            ({}, "arm64", False, "arm64"),
            ({}, "x86_64", False, "x86_64"),
            ({"sysctl.proc_translated": "yes"}, "x86_64", False, "x86_64"),
        ],
    )
    def test_translation_is_told_by_either_of_two_keys(
        self, answers: dict[str, str], machine: str, translated: bool, hardware: str
    ) -> None:
        host = parse(Readings("Darwin", machine, answers))
        assert (host.translated, host.machine, host.interpreter) == (translated, hardware, machine)

    def test_mac_keys_mean_nothing_on_another_system(self) -> None:
        answers = {"sysctl.proc_translated": "1", "hw.optional.arm64": "1"}
        for system in ("Linux", "Windows", ""):
            host = parse(Readings(system, "x86_64", answers))
            assert (host.translated, host.machine) == (False, "x86_64")

    @pytest.mark.parametrize(
        ("name", "word"),
        [
            ("aarch64", "arm64"),
            ("arm64", "arm64"),
            ("AMD64", "x86_64"),
            ("amd64", "x86_64"),
            ("x86_64", "x86_64"),
            ("riscv64", "riscv64"),
            ("", "unknown"),
            ("\x00\n", "unknown"),
        ],
    )
    def test_architectures_have_one_word_each(self, name: str, word: str) -> None:
        for system in ("Linux", "Windows", "FreeBSD"):
            host = parse(Readings(system, name))
            assert (host.machine, host.interpreter) == (word, word)

    @pytest.mark.parametrize(
        ("chip", "generation"),
        [
            ("Apple M1", "M1"),
            ("Apple M2 Ultra", "M2"),
            ("Apple M12 Max", "M12"),
            ("Apple M1 (Virtual)", "M1"),
            ("Apple A18 Pro", "A18"),
            ("Apple processor", None),
            ("Apple M", None),
            ("Apple M4X", None),
            ("Apple M4é", None),
            ("Intel(R) Core(TM) M3-7Y32 CPU", None),
            ("Not Apple M1", None),
        ],
    )
    def test_the_generation_is_the_letter_and_number(
        self, chip: str, generation: str | None
    ) -> None:
        host = parse(Readings("Darwin", "arm64", {"machdep.cpu.brand_string": chip}))
        assert (host.chip, host.generation) == (chip, generation)

    @pytest.mark.parametrize(
        "value", ["", "-1", "0", "many", "1.5", "0x10", "1_0", "٣", "²", "9" * 20, "9" * 5000]
    )
    def test_a_figure_that_makes_no_sense_is_not_known(self, value: str) -> None:
        answers = dict.fromkeys(("hw.memsize", "hw.physicalcpu", "hw.nperflevels"), value)
        texts = {"ioreg": f'"gpu-core-count" = {value}'}
        host = parse(Readings("Darwin", "arm64", answers, texts))
        assert (host.memory_bytes, host.cpu_cores, host.core_levels) == (None, None, ())
        assert host.gpu_cores is None
        linux = parse(Readings("Linux", texts={"meminfo": f"MemTotal: {value} kB"}))
        assert linux.memory_bytes is None

    def test_levels_are_left_out_rather_than_half_told(self) -> None:
        readings = recorded("m6")
        part = {k: v for k, v in readings.sysctl.items() if k != "hw.perflevel1.physicalcpu"}
        host = parse(dataclasses.replace(readings, sysctl=part))
        assert (host.core_levels, host.cpu_cores) == ((), 12)

    def test_cores_are_summed_where_the_total_is_missing(self) -> None:
        readings = recorded("m6")
        part = {k: v for k, v in readings.sysctl.items() if k != "hw.physicalcpu"}
        assert parse(dataclasses.replace(readings, sysctl=part)).cpu_cores == 12

    @pytest.mark.parametrize(
        ("answers", "virtual"),
        [
            ({"kern.hv_vmm_present": "1"}, True),
            ({"kern.hv_vmm_present": "0"}, False),
            ({"hw.model": "VirtualMac2,1"}, True),
            ({"machdep.cpu.brand_string": "Apple M2 (Virtual)"}, True),
            ({"kern.hv_vmm_present": "?"}, None),
            ({}, None),
        ],
    )
    def test_a_virtual_mac_is_known_by_flag_model_or_name(
        self, answers: dict[str, str], virtual: bool | None
    ) -> None:
        assert parse(Readings("Darwin", "arm64", answers)).virtual is virtual

    @pytest.mark.parametrize(
        ("told", "version"),
        [
            ("14.5", "14.5"),
            ("11.0", "11.0"),
            ("10.15.7", "10.15.7"),
            ("10.16", "26.1"),
            ("16.0", "26.1"),
            ("160.0", "160.0"),
            ("", "26.1"),
        ],
    )
    def test_a_version_that_was_never_released_is_looked_up(self, told: str, version: str) -> None:
        plist = "<key>ProductVersion</key>\n\t<string>26.1</string>"
        readings = Readings("Darwin", "", {"kern.osproductversion": told}, {"plist": plist})
        assert parse(readings).os_version == version

    def test_a_version_that_was_never_released_is_not_repeated(self) -> None:
        assert parse(Readings("Darwin", "", {"kern.osproductversion": "10.16"})).os_version is None

    def test_arm_cores_are_not_known_while_threads_share_them(self) -> None:
        readings = recorded("linux_aarch64")
        for smt in ("1", ""):
            texts = {**readings.texts, "smt": smt}
            assert parse(dataclasses.replace(readings, texts=texts)).cpu_cores is None

    def test_sysctl_output_is_read_line_by_line(self) -> None:
        text = (
            "# a comment: with a colon\n"
            "sysctl: unknown oid 'hw.perflevel2.name'\n"
            "hw.model: Mac16,9\n"
            "hw.perflevel0.name:            Performance\n"
            "kern.version: Darwin: 25.3.0; root:xnu\n"
            "kern.nisdomainname:\n"
            "\n"
        )
        assert parse_sysctl(text) == {
            "hw.model": "Mac16,9",
            "hw.perflevel0.name": "Performance",
            "kern.version": "Darwin: 25.3.0; root:xnu",
            "kern.nisdomainname": "",
        }


ANY_TEXT = st.text(st.characters(), max_size=200)  # lone surrogates included
FIGURES = st.one_of(ANY_TEXT, st.integers().map(str), st.sampled_from(["0", "1", "2", "3"]))
KEYS = [*TEXT_KEYS, *NUMBER_KEYS]
KEYS += [f"hw.perflevel{level}.{what}" for level in range(3) for what in ("name", "physicalcpu")]
SOURCES = ["ioreg", "plist", "version", *LINUX_FILES]
LINES = st.builds("{}{}{}".format, ANY_TEXT, st.sampled_from([":", "=", "\n", " : "]), ANY_TEXT)
CPUINFO = st.lists(
    st.builds("{}:{}".format, st.sampled_from(["processor", "core id", "flags"]), FIGURES)
).map("\n".join)


class TestWhateverIsRead:
    @given(
        system=st.sampled_from(["Darwin", "Linux", "Windows", ""]) | ANY_TEXT,
        machine=st.sampled_from(["arm64", "x86_64"]) | ANY_TEXT,
        sysctl=st.dictionaries(st.sampled_from(KEYS) | ANY_TEXT, FIGURES),
        texts=st.dictionaries(st.sampled_from(SOURCES) | ANY_TEXT, ANY_TEXT | LINES | CPUINFO),
    )
    @example("Darwin", "arm64", {"hw.nperflevels": "9" * 5000, "hw.model": "\ud800"}, {})
    def test_a_host_comes_back_that_survives_json_and_can_be_described(
        self, system: str, machine: str, sysctl: dict[str, str], texts: dict[str, str]
    ) -> None:
        host = parse(Readings(system, machine, sysctl, texts))
        fields = dataclasses.asdict(host)
        again = json.loads(json.dumps(fields, allow_nan=False))
        again["core_levels"] = tuple(again["core_levels"])
        assert again == fields
        line = describe(host)
        assert line.isprintable()
        line.encode("utf-8")
        for figure in (host.cpu_cores, host.gpu_cores, host.memory_bytes):
            assert figure is None or 0 < figure <= 2**50

    @given(ANY_TEXT | LINES)
    def test_sysctl_output_never_fails_to_parse(self, text: str) -> None:
        assert all("." in key for key in parse_sysctl(text))


class TestDescribing:
    @pytest.mark.parametrize("situation", SITUATIONS)
    def test_one_line_says_what_the_machine_is(self, situation: str) -> None:
        host, line = SITUATIONS[situation]
        assert describe(host) == line
        assert len(line) <= 105

    def test_an_unknown_host_is_called_so(self) -> None:
        assert describe(Host("unknown")) == "unknown chip, unknown system, unknown architecture"

    def test_levels_too_long_to_name_are_counted(self) -> None:
        m6 = SITUATIONS["m6"][0]
        fits = dataclasses.replace(m6, gpu_cores=120, memory_bytes=512 * GB, os_version="27.0.12")
        assert len(describe(fits)) == 100
        assert "2 Super + 4 Performance + 6 Efficiency cores" in describe(fits)
        too_long = dataclasses.replace(fits, os_version="27.0.123")
        assert describe(too_long) == (
            "Apple M6 (12 cores, 120 GPU cores, 512 GB), macOS 27.0.123, arm64"
        )

    @pytest.mark.parametrize(
        ("size", "text"),
        [(GB, "1 GB"), (GB - 1, "1024 MB"), (512 * 2**20, "512 MB"), (int(7.75 * GB), "8 GB")],
    )
    def test_memory_has_the_unit_that_is_on_the_box(self, size: int, text: str) -> None:
        assert f"({text})" in describe(Host("Linux", memory_bytes=size))

    def test_a_single_core_is_singular(self) -> None:
        assert "(1 core, 1 GPU core)" in describe(Host("macOS", cpu_cores=1, gpu_cores=1))


class FakeLibrary:
    """``sysctlbyname`` over a table, called through ctypes as the real one would be."""

    def __init__(self, table: dict[str, bytes]) -> None:
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.c_size_t),
            ctypes.c_void_p,
            ctypes.c_size_t,
            use_errno=True,
        )
        self.table = table
        self.asked: list[str] = []
        self.sysctlbyname = prototype(self._answer)

    def _answer(self, name: bytes, old: int | None, size: Any, new: Any, new_size: int) -> int:
        assert (new, new_size) == (None, 0), "nothing may ever be set"
        self.asked.append(name.decode())
        value = self.table.get(name.decode())
        if value is None:
            ctypes.set_errno(errno.ENOENT)
            return -1
        if old is None:
            size[0] = len(value)
            return 0
        if size[0] < len(value):
            ctypes.set_errno(errno.ENOMEM)
            return -1
        ctypes.memmove(old, value, len(value))
        size[0] = len(value)
        return 0


def integer(value: int, size: int) -> bytes:
    return value.to_bytes(size, sys.byteorder, signed=True)


class TestReadingSysctl:
    def test_strings_and_integers_of_both_sizes_are_read(self) -> None:
        library = FakeLibrary(
            {
                "machdep.cpu.brand_string": b"Apple M1 Pro\0",
                "hw.model": b"MacBookPro18,1\0garbage",
                "kern.osproductversion": b"14.5\0",
                "hw.memsize": integer(16 * GB, 8),
                "hw.physicalcpu": integer(10, 4),
                "hw.optional.arm64": integer(1, 4),
                "hw.nperflevels": integer(0, 4),
                "kern.hv_vmm_present": integer(0, 4),
                "sysctl.proc_translated": integer(0, 4),
            }
        )
        assert read_sysctl(library) == {
            "machdep.cpu.brand_string": "Apple M1 Pro",
            "hw.model": "MacBookPro18,1",
            "kern.osproductversion": "14.5",
            "hw.memsize": str(16 * GB),
            "hw.physicalcpu": "10",
            "hw.optional.arm64": "1",
            "hw.nperflevels": "0",
            "kern.hv_vmm_present": "0",
            "sysctl.proc_translated": "0",
        }

    def test_a_key_the_system_does_not_know_is_absent(self) -> None:
        library = FakeLibrary({})
        assert read_sysctl(library) == {}
        assert set(library.asked) == {*TEXT_KEYS, *NUMBER_KEYS}

    def test_as_many_levels_are_read_as_the_system_has(self) -> None:
        table = {"hw.nperflevels": integer(3, 4)}
        for level, name in enumerate((b"Super\0", b"Performance\0", b"Efficiency\0")):
            table[f"hw.perflevel{level}.name"] = name
            table[f"hw.perflevel{level}.physicalcpu"] = integer(level + 2, 4)
        host = parse(Readings("Darwin", "arm64", read_sysctl(FakeLibrary(table))))
        assert host.core_levels == levels(("Super", 2), ("Performance", 3), ("Efficiency", 4))

    @pytest.mark.parametrize("count", [-1, 0, 2**31 - 1])
    def test_an_absurd_number_of_levels_is_not_followed(self, count: int) -> None:
        library = FakeLibrary({"hw.nperflevels": integer(count, 4)})
        assert read_sysctl(library) == {"hw.nperflevels": str(count)}
        assert not any(key.startswith("hw.perflevel") for key in library.asked)

    @pytest.mark.parametrize("raw", [b"", b"\1", b"\1\0\0", b"\1" * 16, b"\1" * 5000])
    def test_an_integer_of_another_size_is_not_guessed(self, raw: bytes) -> None:
        assert read_sysctl(FakeLibrary({"hw.memsize": raw})) == {}

    def test_a_value_too_large_for_any_of_the_keys_is_left_alone(self) -> None:
        assert read_sysctl(FakeLibrary({"hw.model": b"M" * 5000})) == {}

    def test_text_that_is_not_utf8_is_kept_readable(self) -> None:
        answers = read_sysctl(FakeLibrary({"hw.model": b"Mac\xff1,1\0"}))
        assert answers == {"hw.model": "Mac\N{REPLACEMENT CHARACTER}1,1"}

    def test_a_value_that_vanishes_between_the_two_calls_is_absent(self) -> None:
        library = FakeLibrary({"hw.model": b"Mac1,1\0"})

        class Vanishing:
            def sysctlbyname(self, name: bytes, old: Any, *rest: Any) -> int:
                return -1 if old is not None else int(library.sysctlbyname(name, old, *rest))

        assert read_sysctl(Vanishing()) == {}

    def test_no_library_is_no_answer(self) -> None:
        assert system_library("/nonexistent/libSystem.dylib") is None

    def test_a_library_without_the_function_is_no_library(self) -> None:
        here = ctypes.util.find_library("m")
        if here is None or sys.platform == "darwin":
            pytest.skip("needs a C library without sysctlbyname")
        assert system_library(here) is None


class TestReadingTheRest:
    def test_ioreg_gives_its_output(self) -> None:
        assert read_ioreg([sys.executable, "-c", "print('out')"]).split() == ["out"]

    @pytest.mark.parametrize(
        ("command", "limit_s"),
        [
            (["/nonexistent/ioreg"], 30.0),
            ([sys.executable, "-c", "print('half'); raise SystemExit(1)"], 30.0),
            ([sys.executable, "-c", "print('half', flush=True); import time; time.sleep(9)"], 1.0),
        ],
        ids=["missing", "failing", "hanging"],
    )
    def test_an_ioreg_that_does_not_work_gives_nothing(
        self, command: list[str], limit_s: float
    ) -> None:
        assert read_ioreg(command, limit_s) == ""

    def test_a_file_that_cannot_be_read_is_empty(self, tmp_path: Path) -> None:
        assert read_text(str(tmp_path / "missing")) == ""
        assert read_text(str(tmp_path)) == ""
        (tmp_path / "bytes").write_bytes(b"a\xff")
        assert read_text(str(tmp_path / "bytes")) == "a\N{REPLACEMENT CHARACTER}"


@pytest.fixture
def no_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"a child process was started: {args}")

    for owner, name in (
        (subprocess, "Popen"),
        (os, "fork"),
        (os, "posix_spawn"),
        (os, "system"),
        (os, "popen"),
    ):
        monkeypatch.setattr(owner, name, refuse, raising=False)


class TestDetecting:
    @pytest.mark.skipif(sys.platform != "linux", reason="describes a Linux machine")
    @pytest.mark.usefixtures("no_child_process")
    def test_this_linux_machine_is_described_without_a_child_process(self) -> None:
        host = detect()
        assert host.system == "Linux"
        expected = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        assert (host.machine, host.interpreter, host.translated) == (expected, expected, False)
        assert host.cpu_cores is None or 0 < host.cpu_cores <= (os.cpu_count() or 1)
        assert host.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if platform.machine() == "x86_64":
            assert None not in (host.chip, host.cpu_cores, host.virtual)

    @pytest.mark.skipif(sys.platform != "linux", reason="reads the files of Linux")
    def test_every_linux_file_that_exists_is_read(self) -> None:
        texts = read().texts
        smt = Path("/sys/devices/system/cpu/smt/active")
        assert texts["smt"] == (smt.read_text(encoding="utf-8") if smt.exists() else "")
        assert all(texts[source] for source in ("cpuinfo", "meminfo", "os-release"))

    @pytest.mark.usefixtures("no_child_process")
    @pytest.mark.parametrize(
        ("system", "version"), [("Windows", platform.version()), ("FreeBSD", platform.release())]
    )
    def test_another_system_is_asked_for_platform_facts_only(
        self, monkeypatch: pytest.MonkeyPatch, system: str, version: str
    ) -> None:
        monkeypatch.setattr(platform, "system", lambda: system)
        readings = read()
        assert readings == Readings(system, platform.machine(), texts={"version": version})

    def mac(self, monkeypatch: pytest.MonkeyPatch, table: dict[str, bytes]) -> None:
        monkeypatch.setattr(platform, "system", lambda: "Darwin")
        monkeypatch.setattr(platform, "machine", lambda: "arm64")
        monkeypatch.setattr(host_reading, "system_library", lambda: FakeLibrary(table))

    def test_apple_silicon_is_asked_for_its_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mac(monkeypatch, {"hw.optional.arm64": integer(1, 4)})
        monkeypatch.setattr(host_reading, "read_ioreg", lambda: '"gpu-core-count" = 10')
        assert detect() == Host("macOS", gpu_cores=10, machine="arm64", interpreter="arm64")

    @pytest.mark.usefixtures("no_child_process")
    def test_an_intel_mac_has_no_apple_gpu_to_ask_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.mac(monkeypatch, {"hw.physicalcpu": integer(6, 4)})
        assert detect().cpu_cores == 6

    def test_a_mac_without_the_library_still_gives_a_host(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.mac(monkeypatch, {})
        monkeypatch.setattr(host_reading, "system_library", lambda: None)
        assert detect() == Host("macOS", machine="arm64", interpreter="arm64")

    def test_importing_the_module_imports_nothing_expensive(self) -> None:
        code = (
            "import sys, platform, re, json\n"
            "before = set(sys.modules)\n"
            "import pytest_applesilicon.host\n"
            "print(*sorted(set(sys.modules) - before))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(host_module.__file__).parents[1],
        )
        roots = set(re.findall(r"(\w+)[.\w]*", done.stdout))
        assert not roots & {"ctypes", "subprocess", "pytest", "numpy", "torch", "plistlib"}
        assert "pytest_applesilicon" in roots
