"""The paper's ResNet-50 at 224 × 224 from the paper's gin files, on real photographs in ImageNet's shape, on a CPU."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory
from official.vision.ops import preprocess_ops

from data.imagenet import build as imagenet_build
from data.imagenet import photographs
from data.imagenet.labels import true_label
from scripts.soak.forked import Run
from tests.trainers.tasks.killed_run import killed_and_repeated, losses
from trainers import gin_files
from trainers.tasks import resnet

TRAIN, VALIDATION = 24, 7


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder as `make imagenet-data` fills it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("data") / "images"
    for split, found in (
        ("train", photographs.train_images(TRAIN, 4)),
        ("validation", photographs.validation_images(VALIDATION)),
    ):
        photographs.write_records(source, split, 1, found, first_label=1)
    counts = {"train": TRAIN, "validation": VALIDATION}
    imagenet_build.build(str(source), str(target), counts=counts, held_out=0.2)
    return target


def _bindings(images, **more):
    settings = {
        "resnet_classification.data_dir": f"'{images}'",
        "experiment.strategy": "'one_device'",  # where the paper's files say "tpu"
        "activations": "'float32'",  # a CPU takes minutes for a convolution in bfloat16
        "batch_size": 4,
        "train_steps": 600,
        "validation_interval": 600,
        "resnet_classification.evaluation_batch_size": 4,
        "resnet_classification.shuffle_buffer": 8,
    } | more
    return [f"{name} = {value}" for name, value in settings.items()]


def _task(images, name="resnet_nigt"):
    return task_factory.get_task(gin_files.load(f"configs/paper/{name}.gin", _bindings(images)).config.task)


def test_the_paper_s_inputs_are_crops_of_the_photographs(images):
    """Different crops in different epochs, the same for the same seed; labels by the images' names; 224 × 224."""
    task = _task(images)
    batches = list(task.build_inputs(task.task_config.train_data).take(12))
    again = list(task.build_inputs(task.task_config.train_data).take(12))
    for (pixels, labels), (pixels_again, labels_again) in zip(batches, again, strict=True):
        assert pixels.shape == (4, 224, 224, 3) and pixels.dtype == tf.float32 and set(labels.numpy()) <= {0, 1, 2, 3}
        np.testing.assert_array_equal(pixels, pixels_again)
        np.testing.assert_array_equal(labels, labels_again)
    pixels = np.concatenate([pixels for pixels, _ in batches])
    assert len({image.tobytes() for image in pixels}) == len(pixels) > TRAIN
    assert abs(pixels.mean()) < 1 and 0.5 < pixels.std() < 2  # normalized by ImageNet's mean and deviation


def test_the_paper_s_images_are_tf_models_official_s_numbers(images):
    """Normalized bit for bit as there; handed over in bfloat16 unless the activations are float32."""
    pixels = tf.random.stateless_uniform((224, 224, 3), (1, 2), 0, 255)
    theirs = preprocess_ops.normalize_image(pixels, preprocess_ops.MEAN_RGB, preprocess_ops.STDDEV_RGB)
    np.testing.assert_array_equal(resnet._normalize(pixels), theirs)
    task = _task(images)
    (exact, _), *_ = task.build_inputs(task.task_config.train_data).take(1)
    config = gin_files.load("configs/paper/resnet_nigt.gin", _bindings(images, activations="'bfloat16'")).config.task
    (halved, _), *_ = task_factory.get_task(config).build_inputs(config.train_data).take(1)
    assert halved.dtype == tf.bfloat16
    np.testing.assert_array_equal(halved, tf.cast(exact, tf.bfloat16))


def test_every_validation_image_counts_once(images):
    task = _task(images)
    batches = list(task.build_inputs(task.task_config.validation_data))
    labels, weights = (np.concatenate([batch[place] for batch in batches]) for place in (1, 2))
    assert [len(batch[0]) for batch in batches] == [4, 4] and weights.tolist() == [1] * VALIDATION + [0]
    expected = [true_label("validation", f"ILSVRC2012_val_{n:08d}.JPEG") for n in range(1, VALIDATION + 1)]
    assert labels[:VALIDATION].tolist() == expected


@pytest.mark.parametrize("name", ["resnet_nigt", "resnet_sgd", "resnet_adam"])
def test_the_model_is_resnet_50_and_decays_once(images, name):
    """25.56 million trainable parameters (He et al.'s table has 25.6); λ/2·‖w‖² over the kernels in the loss, λ = 1e-4,
    and no decay in the optimizer; no label smoothing; statistics of each replica's own batch."""
    experiment = gin_files.load(f"configs/paper/{name}.gin", _bindings(images))
    task = task_factory.get_task(experiment.config.task)
    model = task.build_model()
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 25_557_032
    kernels = [v for v in model.trainable_variables if "kernel" in v.name]
    assert len(kernels) == 54
    expected = 0.5e-4 * sum(float(tf.reduce_sum(v**2)) for v in kernels)
    assert float(tf.add_n(model.losses)) == pytest.approx(expected, rel=1e-4)
    optimizer = getattr(experiment.config.trainer.optimizer_config.optimizer, experiment.optimizer.name)
    assert not getattr(optimizer, "weight_decay", 0) and not getattr(optimizer, "weight_decay_rate", 0)
    config = experiment.config.task
    assert config.losses.label_smoothing == 0 and not config.model.norm_activation.use_sync_bn
    assert (config.model.norm_activation.norm_momentum, config.model.norm_activation.norm_epsilon) == (0.9, 1e-5)


def test_a_jpeg_that_is_cut_off_in_training_is_named(images, tmp_path):
    """The crops read parts of it alone; the message is that of the whole."""
    folder = tmp_path / "images [1]"
    shutil.copytree(images, folder)
    (file,) = folder.glob("train-*")
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    example = tf.train.Example.FromString(records[2])
    encoded = example.features.feature["image/encoded"].bytes_list
    encoded.value[0] = encoded.value[0][: len(encoded.value[0]) // 3]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in (*records[:2], example.SerializeToString(), *records[3:]):
            writer.write(record)
    small = {"depth": 10, "width": 0.125, "image_size": 32}
    bindings = _bindings(folder, **{f"resnet_classification.{name}": value for name, value in small.items()})
    arguments = ["train", "--gin_file=configs/paper/resnet_nigt.gin", f"--model_dir={tmp_path / 'run'}"]
    run = Run([*arguments, *(f"--gin_param={binding}" for binding in bindings)], tmp_path / "out")
    assert run.wait(300) == 2, run.text()
    (line,) = run.message()
    assert f"{file}: record 2 (counted from 0) does not fit: " in line
    assert "Invalid JPEG data" in line and "Detected" not in line


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["resnet_nigt", "resnet_sgd"])
def test_resnet_50_takes_real_steps_is_killed_and_goes_on(images, name, tmp_path):
    """Six steps, a checkpoint after each second; SIGKILL after the first one."""
    bindings = _bindings(
        images,
        train_steps=6,
        validation_interval=6,
        **{"experiment.checkpoint_interval": 2, "experiment.steps_per_loop": 2},
    )
    if name == "resnet_sgd":
        bindings.append("warmup_step_decay.boundary_epochs = (30, 60)")  # six steps are too few for all three
    directory, record, rows = killed_and_repeated(f"configs/paper/{name}.gin", bindings, "ckpt-2", tmp_path)
    assert (record["status"], record["steps"], record["scale"]) == ("ok", 6, "paper")
    found = losses(rows)
    assert {("train", step) for step in (2, 4, 6)} < found.keys() and ("validation", 6) in found
    assert np.all(np.isfinite(list(found.values())))
    assert pathlib.Path(tf.train.latest_checkpoint(str(directory))).name == "ckpt-6"
