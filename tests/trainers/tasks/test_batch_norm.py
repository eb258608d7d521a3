"""Batch-norm statistics recomputed at w, on the real laptop images."""

import numpy as np
import tensorflow as tf
from official.core import task_factory

from trainers import gin_files
from trainers.tasks.batch_norm import Recalibration


def _task(laptop_data):
    bindings = [
        f"resnet_classification.data_dir='{laptop_data / 'images'}'",
        "resnet_classification.depth=10",
        "batch_size=64",
    ]
    task = task_factory.get_task(gin_files.load("configs/laptop/resnet_nigt.gin", bindings).config.task)
    return task, task.build_model()


def _statistics(model):
    return [v.numpy() for v in model.non_trainable_variables if "moving" in v.name]


def test_the_statistics_are_those_of_the_batches_and_are_given_back(laptop_data):
    task, model = _task(laptop_data)
    task.start_step = 7  # a run that was resumed takes the same batches
    before = _statistics(model)
    recalibration = Recalibration(task, model, 1)
    images, _ = next(recalibration.inputs())
    as_in_training = model(images, training=True).numpy()  # with the batch's own statistics
    for variable, value in zip([v for v in model.non_trainable_variables if "moving" in v.name], before, strict=True):
        variable.assign(value)
    with recalibration.recalibrated():
        recalibrated = model(images, training=False).numpy()
    # Moving variances are Bessel-corrected, batch variances are not: a small difference is left.
    assert np.linalg.norm(recalibrated - as_in_training) < 0.03 * np.linalg.norm(as_in_training)
    assert np.linalg.norm(model(images, training=False).numpy() - as_in_training) > 0.1 * np.linalg.norm(as_in_training)
    for old, new in zip(before, _statistics(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert {layer.momentum for layer in recalibration._layers} == {0.9}


def test_several_batches_give_their_mean(laptop_data):
    task, model = _task(laptop_data)
    first = Recalibration(task, model, 1)
    both = Recalibration(task, model, 2)
    iterator = both.inputs()
    singles = []
    for _ in range(2):
        first._forward(iterator)
        singles.append(_statistics(model))
    with both.recalibrated():
        together = _statistics(model)
    for one, two, mean in zip(*singles, together, strict=True):
        np.testing.assert_allclose(mean, (one + two) / 2, rtol=1e-5, atol=1e-6)


def test_the_statistics_are_given_back_when_the_evaluation_fails(laptop_data):
    task, model = _task(laptop_data)
    before = _statistics(model)
    try:
        with Recalibration(task, model, 1).recalibrated():
            raise tf.errors.CancelledError(None, None, "")
    except tf.errors.CancelledError:
        pass
    for old, new in zip(before, _statistics(model), strict=True):
        np.testing.assert_array_equal(old, new)
