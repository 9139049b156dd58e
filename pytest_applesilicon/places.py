"""A run in which each of several workers runs every test: architectures, or hosts.

pytest-xdist starts the workers (``--dist=each``); here their names, facts and results are kept
apart, and one that drops out loses only its own.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import architectures, frameworks, workers
from pytest_applesilicon import host as hosts
from pytest_applesilicon.options import INTERPRETERS, Settings
from pytest_applesilicon.records import Host, Place
from pytest_applesilicon.selection import SELECTION

if TYPE_CHECKING:
    import pytest

    from pytest_applesilicon.records import Record


def begin(config: pytest.Config) -> None:
    """Before pytest and its plugins are configured, in the controller and in each worker.

    Raises:
        OptionError: an interpreter cannot be had.
    """
    if workers.is_worker(config):
        restore = workers.timed_alone(config)
        if restore is not None:
            _forget_benchmark_files(config)
            config.add_cleanup(restore)
        return
    settings = Settings.from_pytest(config)
    if architectures.wanted(settings):
        architectures.start(config, settings)
    if config.option.dist == "each" and config.getoption("maxworkerrestart", None) is None:
        # A worker that is started again would begin in the middle, and a host that is gone
        # would end the whole run.
        config.option.maxworkerrestart = "0"


def _forget_benchmark_files(config: pytest.Config) -> None:
    """Every worker would write the same file of pytest-benchmark; our report has the timings."""
    for name in ("benchmark_json", "benchmark_save", "benchmark_autosave"):
        if hasattr(config.option, name):
            setattr(config.option, name, None)


class Places:
    """On the controller: the places of a run and what became of them."""

    def __init__(self, config: pytest.Config) -> None:
        self.active = config.getoption("dist", default="no") == "each"
        self._config = config
        self._places: dict[str, Place] = {}

    @property
    def all(self) -> tuple[Place, ...]:
        return tuple(self._places[name] for name in sorted(self._places))

    def send(self, node: Any) -> None:
        """Tell a worker which place it is."""
        if not self.active:
            return
        found = self._config.stash.get(INTERPRETERS, ())
        prefixes = {one.architecture: one.prefix for one in found}
        name = str(node.gateway.id)
        workers.send_place(node, prefixes.get(name))
        self._places[name] = Place(name, Host("unknown"))

    def place(self, record: Record, report: Any) -> Record:
        """The record with the name of the place its report is from."""
        node = getattr(report, "node", None)
        if not self.active or node is None:
            return record
        return dataclasses.replace(record, place=str(node.gateway.id))

    def ended(self, node: Any, error: Any) -> None:
        """Take in the facts of a place that ended, or that it dropped out."""
        if not self.active:
            return
        name, facts = str(node.gateway.id), workers.reported(node)
        place = from_json(facts["place"], name) if "place" in facts else self._places.get(name)
        place = place or Place(name, Host("unknown"))
        lost = " ".join(str(error).split())[:200] if error else ""
        info = getattr(node, "workerinfo", None)
        if lost and info and not place.versions:
            # It did not live to tell its facts; pytest-xdist knows this much.
            version = ".".join(str(part) for part in info["version_info"][:3])
            place = dataclasses.replace(place, versions={"python": version})
        self._places[name] = dataclasses.replace(place, lost=lost)


def to_json(config: pytest.Config) -> str:
    """What this worker says of its place, for the controller."""
    selection = config.stash.get(SELECTION, None)
    host = selection.host if selection else hosts.detect()
    versions = {
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "prefix": sys.prefix,
    }
    for name in frameworks.NAMES:
        if frameworks.is_installed(name):
            versions |= frameworks.load(name).versions()
    targets = [dataclasses.asdict(one) for one in selection.targets] if selection else []
    return json.dumps({"host": dataclasses.asdict(host), "targets": targets, "versions": versions})


def from_json(text: str, name: str) -> Place:
    """The place that ``to_json`` described."""
    fields = json.loads(text)
    known = json.dumps({"host": fields["host"], "targets": fields["targets"], "notes": []})
    selection = workers.selection_from_json(known)
    return Place(name, selection.host, selection.targets, fields["versions"])
