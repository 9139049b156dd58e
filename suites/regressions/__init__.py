"""Bugs of PyTorch's MPS backend that people reported: is each of them present here?

``bugs.tsv`` holds the facts, one row a bug; the modules beside it hold the code, one function
a bug. Written for torch: without it every module of this folder is a visible skip.
"""

import pytest

pytest.importorskip("torch", reason="suites/regressions is written for torch")
