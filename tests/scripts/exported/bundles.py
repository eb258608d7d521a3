"""A small BERT on random text, exported once, and the Python that runs bundles; a run of it takes seconds."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from data import masking, records
from scripts.exported import bundle
from tests.conftest import ROOT

VOCABULARY, LENGTH, PREDICTIONS, BATCH, TRAIN = 60, 16, 3, 8, 100
SMALL = (
    f"bert_pretraining.vocabulary_size={VOCABULARY} bert_pretraining.sequence_length={LENGTH} "
    f"bert_pretraining.max_predictions={PREDICTIONS} batch_size={BATCH} bert_pretraining.evaluation_batch_size={BATCH} "
    "bert_pretraining.layers=1 bert_pretraining.hidden_size=8 bert_pretraining.attention_heads=2 "
    "bert_pretraining.intermediate_size=8 bert_pretraining.dropout=0.1 "
    "train_steps=1000 validation_interval=200 experiment.steps_per_loop=50"
)


@pytest.fixture(scope="session")
def jax_python() -> pathlib.Path:
    subprocess.run(["make", "-s", ".venv/exported/.ready"], cwd=ROOT, check=True)
    return ROOT / ".venv" / "exported" / "bin" / "python"


def write_text(folder: pathlib.Path, vocabulary: int, length: int, predictions: int, **counts: int) -> pathlib.Path:
    """TFRecords of random tokens, so many sequences a split, some shorter than others."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        sizes = rng.integers(1, length - 2, count, endpoint=True)
        sequences = masking.pack(rng.integers(5, vocabulary, sizes.sum()), sizes, length, None)
        records.write_masked(folder, split, 1, masking.mask(sequences, vocabulary, predictions, rng))
    return folder


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("text")
    return write_text(folder, VOCABULARY, LENGTH, PREDICTIONS, train=TRAIN, selection=20, validation=28)


def export(output: pathlib.Path, gin_file: str, *bindings: str) -> subprocess.CompletedProcess:
    """Runs the command."""
    command = [sys.executable, "-m", "scripts.exported.export", f"--gin_file={gin_file}", f"--output={output}"]
    command += [f"--gin_param={binding}" for binding in bindings]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="session")
def small(tmp_path_factory, jax_python, text) -> pathlib.Path:
    """The bundle of bert_nigt in small, with dropout."""
    output = tmp_path_factory.mktemp("bundles") / "small"
    done = export(output, "configs/laptop/bert_nigt.gin", f"bert_pretraining.data_dir='{text}'", SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    return output


@pytest.fixture(scope="session")
def jax_environment(tmp_path_factory) -> dict[str, str]:
    """What is compiled once is kept."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}
    return os.environ | cache | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PLATFORMS": "cpu"}


@pytest.fixture(scope="session")
def runner(jax_python, jax_environment):
    """Starts `python -m scripts.exported.run` with arguments."""

    def start(*arguments) -> subprocess.Popen:
        command = [jax_python, "-m", "scripts.exported.run", *map(str, arguments)]
        return subprocess.Popen(command, cwd=ROOT, env=jax_environment, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture(scope="session")
def drive(jax_python, jax_environment, tmp_path_factory):
    """Calls a bundle's programs (drive.py) and returns the arrays that they give."""
    folder = tmp_path_factory.mktemp("driven")

    def call(of_bundle: pathlib.Path, *arguments) -> dict[str, np.ndarray]:
        out = folder / "out.npz"
        command = [jax_python, "-m", "tests.scripts.exported.drive", of_bundle, out, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, env=jax_environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return bundle.unpacked(out.read_bytes())

    return call
