"""The laptop's ResNet from a bundle: its batches, and its first gradient beside TensorFlow's in float64.

Whole trajectories are not compared: the ResNet's gradient at the start is so ill-conditioned that those of TensorFlow's
own two forms part within 20 steps.
"""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from scripts.exported import bundle
from tests.scripts.exported.bundles import export
from trainers import gin_files

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]
RATE, BATCH = 0.4, 64
# No warm-up: the first step has a rate, so SGD's momentum is −η times the gradient after it.
BINDINGS = (
    f"batch_size={BATCH} resnet_classification.evaluation_batch_size={BATCH} train_steps=40 eta0={RATE} "
    "validation_interval=20 experiment.steps_per_loop=10 sgd.learning_rate=@warmup_polynomial_decay() "
    "warmup_polynomial_decay.eta0=%eta0 warmup_polynomial_decay.train_steps=%train_steps "
    "warmup_polynomial_decay.warmup_steps=0 warmup_polynomial_decay.power=2.0"
)
FILE = "configs/laptop/resnet_sgd.gin"
SLOT = "/.OPTIMIZER_SLOT/optimizer/momentum"


@pytest.fixture(scope="module")
def images(laptop_data, tmp_path_factory) -> pathlib.Path:
    """The first images of each split."""
    folder = tmp_path_factory.mktemp("images")
    for split, count in (("train", 640), ("selection", 128), ("validation", 192)):
        (first, *_) = sorted((laptop_data / "images").glob(f"{split}-*"))
        with tf.io.TFRecordWriter(str(folder / f"{split}-0.tfrecord")) as writer:
            for record in tf.data.TFRecordDataset(str(first)).take(count):
                writer.write(record.numpy())
    return folder


@pytest.fixture(scope="module")
def resnet(images, jax_python, tmp_path_factory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("bundles") / "resnet"
    done = export(output, FILE, f"resnet_classification.data_dir='{images}'", BINDINGS)
    assert done.returncode == 0, done.stderr[-2000:]
    return output


@pytest.fixture(scope="module")
def batches(resnet, drive):
    return drive(resnet, "batches", 0, 10)


def test_a_batch_is_the_trainers_images_half_of_them_flipped(resnet, batches, images):
    experiment = gin_files.load(FILE, gin_files.split([f"resnet_classification.data_dir='{images}'", BINDINGS]))
    from official.core import task_factory

    task = task_factory.get_task(experiment.config.task)
    config = experiment.config.task.train_data
    config.is_training = False
    rule, whole = bundle.Bundle(resnet).manifest["signature"]["rule"], {}

    def pixels(image) -> bytes:
        """As stored; the last bit of a normalized image is the compiler's."""
        return np.rint(image * rule["deviation"] + rule["mean"]).astype(np.uint8).tobytes()

    for image, label, weight in task.build_inputs(config).unbatch():
        if weight > 0:
            for flipped in (False, True):
                shown = image.numpy()[:, ::-1] if flipped else image.numpy()
                whole[pixels(shown)] = (int(label), flipped, shown)
    ours = batches["images"].reshape(-1, *batches["images"].shape[2:])
    labels, flips, shown = zip(*(whole[pixels(image)] for image in ours), strict=True)
    np.testing.assert_allclose(ours, shown, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(labels, batches["labels"].ravel())
    assert abs(np.mean(flips) - 0.5) < 5 * 0.5 / np.sqrt(len(ours))


def test_the_first_gradient_is_float64s(resnet, batches, drive, images):
    found = drive(resnet, "single", 0, 1)
    ours = {path.removesuffix(SLOT): -array / RATE for path, array in found.items() if path.endswith(SLOT)}
    exact = _exact_gradient(bundle.Bundle(resnet), {name: array[0] for name, array in batches.items()}, images)
    assert ours.keys() == exact.keys() and len(ours) > 60

    def error(gradients) -> float:
        return max(np.linalg.norm(gradients[p] - exact[p]) / np.linalg.norm(exact[p]) for p in exact)

    print(f"largest relative error of a variable's gradient: {error(ours):.1e}")
    assert error(ours) < 1e-4
    other = drive(resnet, "single", 1, 1)  # the control: another batch
    assert error({path: -other[path + SLOT] / RATE for path in exact}) > 0.1


def _exact_gradient(read: bundle.Bundle, batch: dict, images: pathlib.Path) -> dict[str, np.ndarray]:
    """By path, in float64, at the bundle's state."""
    from official.core import task_factory

    from scripts.exported.lowering import paths

    tf_keras.backend.set_floatx("float64")
    try:
        experiment = gin_files.load(FILE, gin_files.split([f"resnet_classification.data_dir='{images}'", BINDINGS]))
        task = task_factory.get_task(experiment.config.task)
        model = task.build_model()
        by_path = paths(model=model)
        state = read.arrays("state")
        for path, variable in by_path.values():
            variable.assign(state[path].astype(np.float64))
        with tf.GradientTape() as tape:
            outputs = model(tf.cast(batch["images"], tf.float64), training=True)
            labels = tf.one_hot(batch["labels"], 10, dtype=tf.float64)
            loss = task.build_losses(labels, outputs, model.losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        assert loss.dtype == tf.float64 and {g.dtype for g in gradients} == {tf.float64}
        names = {id(variable): path for path, variable in by_path.values()}
        return {names[id(v)]: g.numpy() for v, g in zip(model.trainable_variables, gradients, strict=True)}
    finally:
        tf_keras.backend.set_floatx("float32")


def test_a_run_of_single_steps_trains_and_is_collected_like_others(resnet, runner, tmp_path):
    assert "steps" not in bundle.Bundle(resnet).manifest["signature"]["programs"]
    run = runner(resnet, f"--model_dir={tmp_path / 'run'}")
    assert run.wait() == 0, run.stderr.read()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["task"] == "resnet"
