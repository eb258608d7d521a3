"""What JAX computes from a bundle, beside TensorFlow's XLA form of the same step: the laptop's BERT with dropout."""

import numpy as np
import pytest

from scripts.exported import bundle
from tests.scripts.exported.bundles import export, write_text
from trainers import gin_files

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]
STEPS, TOLERANCE = 50, 1e-5


class Pair:
    """A bundle, and TensorFlow's side of the same run."""

    def __init__(self, folder, gin_file):
        # Words as on the laptop; random ones, for a bundle of 60 MB of records takes minutes.
        (folder / "text").mkdir()
        data = write_text(folder / "text", 4096, 64, 10, train=640, selection=256, validation=256)
        self.gin_file, self.bindings = gin_file, [f"bert_pretraining.data_dir='{data}'", "bert_pretraining.dropout=0.1"]
        self.folder = folder / "bundle"
        done = export(self.folder, gin_file, *self.bindings)
        assert done.returncode == 0, done.stderr[-2000:]
        from scripts.exported.lowering import Lowered

        self.bundle, self.lowered = bundle.Bundle(self.folder), Lowered(gin_files.load(gin_file, self.bindings))

    def train(self, batches: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """TensorFlow's variables after these steps, from the bundle's state on."""
        self.assign(self.bundle.arrays("state"))
        step = self.lowered.function("step")
        for number in range(STEPS):
            step({name: array[number] for name, array in batches.items()})
        written = self.lowered.signatures["step"]["writes"]
        return {path: self.lowered.variables[path].numpy() for path in written}

    def assign(self, state: dict[str, np.ndarray]) -> None:
        for path, value in state.items():
            self.lowered.variables[path].assign(value)

    def error(self, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
        """The largest |Δ| of a variable beside its largest value.

        Without attention's key biases and their slots: their gradient is zero in exact arithmetic, since the softmax
        does not feel them, and what is left is rounding.
        """
        kept = [path for path in theirs if "key/bias" not in self.lowered.variables[path].name]
        assert len(theirs) > 60 and 0 < len(theirs) - len(kept) <= 6
        return max(
            float(np.abs(ours[path].astype(np.float64) - theirs[path]).max() / max(np.abs(theirs[path]).max(), 1e-30))
            for path in kept
        )


@pytest.fixture(scope="module", params=["nigt", "adam"])
def pair(request, tmp_path_factory, jax_python):
    return Pair(tmp_path_factory.mktemp(request.param), f"configs/laptop/bert_{request.param}.gin")


@pytest.fixture(scope="module")
def trained(pair, drive):
    return drive(pair.folder, "steps", 0, STEPS)


def test_fifty_steps_are_tensorflows(pair, trained, drive):
    theirs = pair.train(drive(pair.folder, "batches", 0, STEPS))
    error = pair.error(trained, theirs)
    print(f"largest relative difference after {STEPS} steps: {error:.1e}")
    assert error < TOLERANCE
    # And a control: the same number of steps, each on the next batch.
    assert pair.error(drive(pair.folder, "steps", 1, STEPS), theirs) > 1000 * TOLERANCE


def test_many_steps_in_one_program_are_single_steps_bit_for_bit(pair, trained, drive):
    single = drive(pair.folder, "single", 0, STEPS)
    assert all(np.array_equal(single[path], trained[path]) for path in trained)


def test_an_evaluation_at_w_is_tensorflows(pair, trained, drive, tmp_path):
    (tmp_path / "state.npz").write_bytes(bundle.packed(trained))
    ours = drive(pair.folder, "evaluate", tmp_path / "state.npz")
    pair.assign(trained)
    lowered, columns = pair.lowered, pair.bundle.arrays("selection")
    for metric in [*lowered.trainer.validation_metrics, lowered.trainer.validation_loss]:
        metric.reset_states()
    with lowered.trainer.at_iterates():
        for number in range(len(columns["input_word_ids"])):
            inputs = lowered.signatures["evaluate"]["inputs"]
            lowered.function("evaluate")({name: columns[name][number].astype(dtype) for name, dtype, _ in inputs})
    theirs = {name: value.numpy() for name, value in lowered.function("evaluated")().items()}
    assert ours.keys() == theirs.keys() == {"validation_loss", "masked_lm_accuracy", "lm_example_loss"}
    for name, value in theirs.items():
        assert abs(ours[name] - value) <= 1e-6 * max(1, abs(value)), name


def test_the_bundle_is_small(pair):
    assert sum(file.stat().st_size for file in pair.folder.iterdir()) < 40 * 2**20
