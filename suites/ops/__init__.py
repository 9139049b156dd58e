"""Every operator of torch's own database: does it run on the device, and is it right?

Written for torch: without it every module of this folder is a visible skip.
"""

import pytest

pytest.importorskip("torch", reason="suites/ops is written for torch")
pytest.importorskip("expecttest", reason="torch's operator database needs expecttest")
