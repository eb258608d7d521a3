"""A small BERT on random text, exported once; and the Python that runs bundles, which has no TensorFlow."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from data import masking, records
from tests.conftest import ROOT

VOCABULARY, LENGTH, PREDICTIONS, BATCH, TRAIN = 60, 16, 3, 8, 100
SMALL = (
    f"bert_pretraining.vocabulary_size={VOCABULARY} bert_pretraining.sequence_length={LENGTH} "
    f"bert_pretraining.max_predictions={PREDICTIONS} batch_size={BATCH} bert_pretraining.evaluation_batch_size={BATCH} "
    "bert_pretraining.layers=1 bert_pretraining.hidden_size=8 bert_pretraining.attention_heads=2 "
    "bert_pretraining.intermediate_size=8 bert_pretraining.dropout=0.1 "
    "train_steps=60 validation_interval=20 experiment.steps_per_loop=10"
)


@pytest.fixture(scope="session")
def jax_python() -> pathlib.Path:
    subprocess.run(["make", "-s", ".venv/exported/.ready"], cwd=ROOT, check=True)
    return ROOT / ".venv" / "exported" / "bin" / "python"


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> pathlib.Path:
    """TFRecords of random tokens, some sequences shorter than others."""
    folder, rng = tmp_path_factory.mktemp("text"), np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("selection", 20), ("validation", 28)):
        sizes = rng.integers(1, LENGTH - 2, count, endpoint=True)
        sequences = masking.pack(rng.integers(5, VOCABULARY, sizes.sum()), sizes, LENGTH, None)
        records.write_masked(folder, split, 1, masking.mask(sequences, VOCABULARY, PREDICTIONS, rng))
    return folder


def export(output: pathlib.Path, gin_file: str, *bindings: str) -> subprocess.CompletedProcess:
    """Runs the command."""
    command = [sys.executable, "-m", "scripts.exported.export", f"--gin_file={gin_file}", f"--output={output}"]
    command += [f"--gin_param={binding}" for binding in bindings]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="session")
def small(tmp_path_factory, jax_python, text) -> pathlib.Path:
    """The bundle of bert_nigt in small, with dropout, 60 steps."""
    output = tmp_path_factory.mktemp("bundles") / "small"
    done = export(output, "configs/laptop/bert_nigt.gin", f"bert_pretraining.data_dir='{text}'", SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    return output
