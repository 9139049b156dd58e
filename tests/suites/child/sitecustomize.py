"""Installs the fault of a process that the suites start: see ``faults.in_child``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import faults

faults.CHILD[os.environ[faults.VARIABLE]]()
