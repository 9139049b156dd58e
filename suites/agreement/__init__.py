"""Does a framework agree with itself: other layouts, repeated calls, edges, modules, training?

Written for torch: without it every module of this folder is a visible skip.
"""

import pytest

pytest.importorskip("torch", reason="suites/agreement is written for torch")
pytest.importorskip("expecttest", reason="torch's operator database needs expecttest")
