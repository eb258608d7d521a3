"""Shared fixtures. The environment must be right before TensorFlow is imported anywhere."""

import os
import pathlib
import signal
import subprocess
import sys

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest
import tensorflow as tf

# Two CPU devices, for tests/test_replicas.py; that must be said before TensorFlow's first use in a process.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

pytest_plugins = ["tests.bert_text"]  # its fixtures are several files'

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
    from tests.fake_cloud.cloud import Cloud

    made = Cloud(tmp_path, monkeypatch)
    yield made
    for pid in made.folder.glob("vms/*/nigt/pid"):
        try:
            os.killpg(int(pid.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            pass
