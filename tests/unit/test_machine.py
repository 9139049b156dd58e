"""Identities of machines, from recorded hosts: two of them never share a baseline."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from pytest_applesilicon import baselines
from pytest_applesilicon.baselines import Baseline, BaselineError, Entry
from pytest_applesilicon.host import parse
from pytest_applesilicon.host_reading import Readings, parse_sysctl
from pytest_applesilicon.machine import conditions, identity, power_source, read_state
from pytest_applesilicon.records import Host

RECORDED = Path(__file__).parent / "recorded"


def host(situation):
    """The host that the recorded texts of ``situation`` describe."""
    texts = {}
    for file in sorted((RECORDED / situation).glob("*.txt")):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        texts[file.stem] = "".join(line for line in lines if not line.startswith("#"))
    facts = dict(line.split(": ") for line in texts.pop("platform").splitlines())
    sysctl = parse_sysctl(texts.pop("sysctl", ""))
    return parse(Readings(facts["system"], facts["machine"], sysctl, texts))


def of(machine, framework="torch", version="2.13.0", power="AC", environment=None):
    return identity(machine, framework, version, power, environment or {})


def m4(**changes):
    """The recorded M4 Max, as the plain M4 with ten GPU cores."""
    found = dataclasses.replace(host("m4_max"), chip="Apple M4", gpu_cores=10, cpu_cores=10)
    return dataclasses.replace(found, **changes)


MACHINES = {
    "M1, 8 GPU cores": lambda: dataclasses.replace(host("m1"), gpu_cores=8),
    "M1, 7 GPU cores": lambda: dataclasses.replace(host("m1"), gpu_cores=7),
    "M1 Pro": lambda: host("m1_pro"),
    "M4": m4,
    "M4 under Rosetta": lambda: m4(interpreter="x86_64", translated=True),
    "M4 Max": lambda: host("m4_max"),
    "recorded Rosetta": lambda: host("rosetta"),
    "hosted runner": lambda: host("hosted_runner"),
    "Linux": lambda: host("linux_x86_64"),
}


@pytest.mark.parametrize(("one", "other"), [*itertools.permutations(MACHINES, 2)])
def test_two_machines_never_share_a_baseline(one, other, tmp_path):
    here, there = of(MACHINES[one]()), of(MACHINES[other]())
    assert here != there
    assert here.slug != there.slug
    baselines.write(tmp_path, Baseline(there))

    with pytest.raises(BaselineError, match="no baseline of this machine") as error:
        baselines.find(tmp_path, here)

    for difference in here.differences(there):
        assert difference in str(error.value)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"version": "2.14.0"}, "framework: torch 2.14 there, torch 2.13 here"),
        ({"framework": "mlx"}, "framework: mlx 2.13 there, torch 2.13 here"),
        ({"power": "battery"}, "power: battery there, AC here"),
        ({"environment": {"OMP_NUM_THREADS": "1"}}, "threads: 1 there, default here"),
        ({"machine": host("m1_pro")}, "chip: Apple M1 Pro there, Apple M4 here"),
        ({"machine": m4(os_version="15.0")}, "system: macOS 15 there, macOS 26 here"),
        ({"machine": m4(os_version="26.9")}, ""),
        ({"machine": m4(memory_bytes=2**34)}, "memory gb: 16 GB there, 128 GB here"),
        ({"version": "2.13.1"}, ""),
    ],
)
def test_what_differs_is_named(changes, difference):
    here = of(m4(os_version="26.1", memory_bytes=2**37))
    given = {"machine": m4(os_version="26.1", memory_bytes=2**37), **changes}
    if "machine" in changes and changes["machine"].memory_bytes != 2**34:
        given["machine"] = dataclasses.replace(changes["machine"], memory_bytes=2**37)

    found = here.differences(of(**given))

    assert (difference in found) if difference else not found


def test_copied_file_of_another_machine_is_refused(tmp_path):
    here, there = of(host("m1")), of(host("m1_pro"))
    file = baselines.write(tmp_path, Baseline(there))
    file.rename(baselines.path_of(tmp_path, here))

    with pytest.raises(
        BaselineError, match="is a baseline of another machine\n  chip: Apple M1 Pr"
    ):
        baselines.find(tmp_path, here)


def test_baseline_is_read_as_it_was_written(tmp_path):
    here = of(host("m1"))
    entry = Entry("quick", "latency", 1.5e-3, ((1e-3, 2e-3),), "2026-11-21", "first")
    before = Baseline(here).moved({"test": entry}, "first", "2026-11-21")
    baselines.write(tmp_path, before)

    found = baselines.find(tmp_path, here)

    assert found == before
    assert found.accepted == ({"date": "2026-11-21", "reason": "first", "tests": ["test"]},)


def test_folder_without_baselines_has_none(tmp_path):
    assert baselines.find(tmp_path / "none", of(host("m1"))) is None
    assert baselines.find(tmp_path, of(host("m1"))) is None


@pytest.mark.parametrize(
    ("state", "source"),
    [
        ({"battery": "Now drawing from 'AC Power'\n -InternalBattery-0 ..."}, "AC"),
        ({"battery": "Now drawing from 'Battery Power'"}, "battery"),
        ({"supplies": "Mains 1\nBattery"}, "AC"),
        ({"supplies": "Mains 0\nBattery"}, "battery"),
        ({"supplies": ""}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_power_source(state, source):
    assert power_source(state) == source


def test_conditions_of_a_hot_mac_in_low_power_mode():
    state = {
        "battery": "Now drawing from 'AC Power'",
        "power": " Currently in use:\n lowpowermode         1\n",
        "thermal": "\tCPU_Scheduler_Limit \t= 100\n\tCPU_Speed_Limit \t= 71\n",
    }

    found = conditions(state, Host("macOS", virtual=True))

    assert found["power mode"] == "low"
    assert found["thermal state"] == "CPU limited to 71 %"
    assert found["virtual machine"] == "yes"
    assert " of " in found["load"]


def test_state_that_nobody_tells_is_unknown():
    found = conditions({}, Host("Windows"))

    assert (found["power mode"], found["thermal state"]) == ("unknown", "unknown")


def test_this_host_can_be_read():
    assert power_source(read_state("Linux")) in ("AC", "battery", "unknown")
    assert read_state("Windows") == {}
