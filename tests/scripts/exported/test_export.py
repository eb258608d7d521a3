"""python -m scripts.exported.export: what a bundle says of itself, and what is refused."""

import hashlib
import json

import numpy as np
import pytest

from scripts.exported import bundle
from tests.scripts.exported.bundles import BATCH, LENGTH, SMALL, export
from trainers import gin_files

FILE = "configs/laptop/bert_nigt.gin"


def test_the_manifest_has_hashes_commit_configuration_and_signature(small):
    manifest = json.loads((small / bundle.MANIFEST).read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((small / name).read_bytes()).hexdigest() == digest
    assert set(manifest["files"]) | {bundle.MANIFEST} == {file.name for file in small.iterdir()}
    assert len(manifest["commit"]) == 40 and isinstance(manifest["dirty"], bool)
    experiment = gin_files.loads(manifest["config"])
    assert (experiment.task.batch_size, experiment.task.dropout) == (BATCH, 0.1)
    inputs = {name: (dtype, shape) for name, dtype, shape in manifest["signature"]["signatures"]["step"]["inputs"]}
    assert inputs["input_word_ids"] == ("int32", [BATCH, LENGTH])


def test_the_state_is_by_checkpoint_path(small):
    read = bundle.Bundle(small)
    signature = read.manifest["signature"]
    state = read.arrays("state")
    assert sorted(state) == signature["state"]
    for path, array in state.items():
        assert [array.dtype.name, list(array.shape)] == signature["variables"][path]
    assert {path.split("/")[0] for path in state} >= {"model", "optimizer", "train_loss"}
    assert state[read.manifest["settings"]["step"]] == 0
    assert not set(state) & set(signature["signatures"]["evaluate"]["writes"])


@pytest.mark.heavy
def test_a_second_export_has_the_same_signature_and_start(small, text, tmp_path):
    done = export(tmp_path / "again", FILE, f"bert_pretraining.data_dir='{text}'", SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = bundle.Bundle(small), bundle.Bundle(tmp_path / "again")
    assert first.manifest["signature"] == second.manifest["signature"]
    state, again = first.arrays("state"), second.arrays("state")
    assert all(np.array_equal(state[path], again[path]) for path in state)


@pytest.mark.parametrize(
    ("binding", "line"),
    [
        ("experiment.norms=True", "experiment.norms = True is not exported; it has to be False"),
        ("bert_pretraining.next_sentence=True", "bert_pretraining.next_sentence = True is not exported"),
        ("bert_pretraining.target=0.2", "bert_pretraining.target = 0.2 is not exported"),
        ("strategy='mirrored'", "experiment.strategy = 'mirrored' is not exported"),
        ("etaO=0.1", "nothing uses this"),
        ("bert_pretraining.data_dir='nowhere'", "nowhere/train-*: no such files"),
    ],
)
def test_what_is_not_exported_is_one_line(binding, line, jax_python, tmp_path):
    done = export(tmp_path / "bundle", FILE, binding)
    assert done.returncode == 2 and line in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_left_alone(jax_python, text, tmp_path):
    (tmp_path / "mine").touch()
    done = export(tmp_path, FILE, f"bert_pretraining.data_dir='{text}'")
    assert done.returncode == 2 and "there are other files; choose another --output" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
