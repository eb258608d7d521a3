"""Shared fixtures."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

# Two CPU devices, for nigt/tf_keras/test_replicas.py; that must be said before TensorFlow's first use in a process.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

pytest_plugins = ["tests.data.bert.text", "tests.scripts.exported.bundles"]  # their fixtures are several files'

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def laptop_data() -> pathlib.Path:
    """The built laptop data (manuals/, images/ and text/), real and checked; built on the first use."""
    path = ROOT / ".data" / "laptop"
    subprocess.run([sys.executable, "-m", "data.laptop", f"--data_dir={path}"], cwd=ROOT, check=True)
    return path


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """A Google Cloud on disk, behind a gcloud on the PATH; what runs on its machines ends with the test."""
    from tests.scripts.tpu.fake_cloud.cloud import Cloud

    made = Cloud(tmp_path, monkeypatch)
    yield made
    for pid in made.folder.glob("vms/*/nigt/pid"):
        try:
            os.killpg(int(pid.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            pass
