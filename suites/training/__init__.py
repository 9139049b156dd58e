"""Networks trained on real digits: they learn, and the device learns what the CPU does.

Written for torch: without it every module of this folder is a visible skip.
"""

import pytest

pytest.importorskip("torch", reason="suites/training is written for torch")
