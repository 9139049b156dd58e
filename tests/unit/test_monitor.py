"""Samples of a process: when they are taken, what they hold, and how they are shown."""

from __future__ import annotations

import os
import time
import xml.etree.ElementTree as ET

import pytest

from pytest_applesilicon import monitor
from pytest_applesilicon.records import Sample
from pytest_applesilicon.reports import samples

pytest.importorskip("psutil")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.cpu = 0.0

    def look(self) -> tuple[int, float]:
        return 100 * 2**20, self.cpu


def test_cpu_is_the_share_since_the_sample_before():
    clock = Clock()
    watching = monitor.Monitor(1.0, clock.look, lambda: clock.now)
    clock.now, clock.cpu = 2.0, 1.0
    watching.running("t.py::a")
    watching.device_holds(5)
    watching.sample()
    clock.now, clock.cpu = 4.0, 5.0
    watching.running("")
    watching.sample()

    assert watching.samples == (
        Sample(2.0, 100 * 2**20, 50.0, 5, "t.py::a"),
        Sample(4.0, 100 * 2**20, 200.0, 5, ""),
    )


def test_long_runs_keep_a_bounded_number_of_samples():
    clock = Clock()
    watching = monitor.Monitor(1.0, clock.look, lambda: clock.now)
    for _ in range(10_000):
        clock.now += 1
        watching.sample()

    assert 500 <= len(watching.samples) < 2000
    assert watching.samples[0].at_s == 1.0
    assert watching.samples[-1].at_s > 9_000


def test_thread_samples_and_ends():
    watching = monitor.Monitor(0.01)
    watching.start()
    held = bytearray(os.urandom(1)) * (64 * 2**20)
    time.sleep(0.3)
    watching.stop()
    count = len(watching.samples)
    time.sleep(0.05)

    assert len(held) == 64 * 2**20
    assert count == len(watching.samples)
    assert count >= 5
    grown = watching.samples[-1].resident_bytes - watching.samples[0].resident_bytes
    assert max(one.resident_bytes for one in watching.samples) > 64 * 2**20 or grown > 0


SAMPLES = tuple(Sample(float(at), at * 10 * 2**20, 50.0, at * 2**20, "t") for at in (1, 2, 4, 8))


def test_course_is_shown_from_the_least_to_the_most():
    lines = samples.lines(SAMPLES, 80)

    assert lines[0] == "monitor: 4 samples in 8 s"
    assert [line.split() for line in lines[1:]] == [
        ["memory", "_.=@", "10", "to", "80", "MB"],
        ["CPU", "____", "50", "to", "50", "%"],
        ["device", "memory", "_.=@", "1", "to", "8", "MB"],
    ]


def test_lines_fit_whatever_the_number_of_samples():
    many = [Sample(float(at), at * 2**20, 1.0 * (at % 7)) for at in range(2000)]

    assert max(map(len, samples.lines(many, 80))) <= 80


def test_one_sample_is_no_course():
    assert samples.lines(SAMPLES[:1], 80) == []


def test_picture_has_a_line_for_each_series_within_its_frame():
    root = ET.fromstring(samples.svg(SAMPLES, "a <title> & more"))

    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 3
    for line in lines:
        points = [point.split(",") for point in line.attrib["points"].split()]
        assert len(points) == len(SAMPLES)
        assert all(0 <= float(x) <= 800 and 0 <= float(y) <= 520 for x, y in points)
    assert "a <title> & more" in "".join(root.itertext())
