"""The suites of TensorFlow, MLX, JAX and NumPy fail on a framework that is wrong."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faults_frameworks import FAULTS, FrameworkFault

from pytest_applesilicon import frameworks
from pytest_applesilicon.reports import document

SUITES = Path(__file__).parents[2] / "suites"

#: Seconds: training without learning takes as long as training.
TIME_LIMIT_S = 200


def records(fault: FrameworkFault, folder: Path, *, planted: bool):
    """What becomes of each test of the fault's files, by its id without ``suites/``."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "pytest", "-p", "faulty_framework_plugin"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull, "-q"]
    command += ["--device=cpu", f"--framework={fault.framework}", *fault.options]
    command += [f"--applesilicon-report={report}", *(["-k", fault.only] if fault.only else [])]
    command += [str(SUITES / file) for file in fault.files]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "SUITES_FAULT": fault.name if planted else "",
        "PYTHONPATH": str(Path(__file__).parent),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = document.read(report).records
    return {record.test_id.removeprefix("suites/"): record for record in found}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_suites_fail_on(fault: FrameworkFault, tmp_path):
    if not frameworks.is_installed(fault.framework):
        pytest.skip(f"{fault.framework} is not installed")
    for module in fault.needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    found = records(fault, tmp_path, planted=True)

    for start, says in fault.fails.items():
        reasons = {
            test: (record.outcome, record.reason)
            for test, record in found.items()
            if test.startswith(start) and record.outcome != "skipped"
        }
        assert reasons, f"no test that starts with {start} ran"
        for test, (outcome, reason) in reasons.items():
            assert outcome == "failed", f"{fault.what}: {test} {outcome}"
            assert says in reason


# Keras, in processes of their own: what the device gives is judged by what the CPU gave.


@pytest.fixture(scope="module")
def keras_run():
    pytest.importorskip("tensorflow")
    from pytest_applesilicon.suites.training import keras_steps

    return keras_steps.runs("dense", "adam", 0, reference=True)


def test_the_steps_of_the_cpu_agree_with_themselves(keras_run):
    from pytest_applesilicon.suites.training import test_keras_steps

    assert 0 <= test_keras_steps.check("dense-adam", keras_run, keras_run["dense-adam"]) <= 1


@pytest.mark.parametrize("kind", ["rounded layer", "skipped step", "wrong rate"])
def test_steps_of_a_wrong_device_are_noticed(kind, keras_run, monkeypatch):
    from pytest_applesilicon.suites.training import keras_steps, test_keras_steps
    from tensorflow import keras

    if kind == "rounded layer":
        import faults_frameworks

        faults_frameworks.keras_dense_in_bfloat16(monkeypatch)
    elif kind == "skipped step":
        import tensorflow as tf

        update = keras.optimizers.Adam.update_step

        def skipping(self, gradient, variable, rate):
            wanted = tf.cast(self.iterations != 3, gradient.dtype)
            update(self, gradient * wanted, variable, tf.cast(rate, gradient.dtype) * wanted)

        monkeypatch.setattr(keras.optimizers.Adam, "update_step", skipping)
    else:
        adam = keras.optimizers.Adam
        monkeypatch.setattr(keras.optimizers, "Adam", lambda rate: adam(rate * 1.001))
    found = keras_steps.Runs("dense", "adam", "float32", 0).losses()

    assert np.isfinite(found).all()
    with pytest.raises(AssertionError, match="dense-adam: at step"):
        test_keras_steps.check("dense-adam", keras_run, found)
