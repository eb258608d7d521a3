"""One step on two replicas (two CPU devices) is one step on one: norms are taken after the gradients are summed."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import task_factory

from nigt import NIGT
from trainers import gin_files

TOLERANCE = 1e-6


def _strategy(replicas):
    if replicas == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.HierarchicalCopyAllReduce())


def _split(strategy, array):
    """The batch's part of each replica."""
    parts = np.array_split(array, strategy.num_replicas_in_sync)
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )


OPTIMIZERS = {
    "layer": {},
    "decay": {"weight_decay": 0.1, "exclude_from_weight_decay": ()},
    "global": {"normalization": "global", "scale_by_weight_norm": False},
    "algorithm2": {"adaptive": "algorithm2", "gradient_bound": 5.0},
    "released": {"adaptive": "released"},
    "bfloat16": {"momentum_dtype": "bfloat16"},
    "anchored": {"exclude_from_normalization": (r"^bias$",)},  # a replica's copy has another name
}


def _train(replicas, arguments, poison_at=None, steps=4):
    """The variables, iterates and counters after a few steps of a small regression, in float64."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(16, 5)), random.normal(size=(16, 3))
    starts = random.normal(size=(5, 4)), random.normal(size=4), random.normal(size=(4, 3))
    strategy = _strategy(replicas)
    with strategy.scope():
        variables = [tf.Variable(s, name=n) for s, n in zip(starts, ("kernel", "bias", "out"), strict=True)]
        optimizer = NIGT(0.01, excluded_learning_rate_multiplier=10.0, **arguments)

    def gradients(features, targets):
        with tf.GradientTape() as tape:
            outputs = tf.tanh(features @ variables[0] + variables[1]) @ variables[2]
            loss = tf.reduce_sum(tf.square(outputs - targets)) / 16
        return tape.gradient(loss, variables)

    @tf.function
    def step(features, targets):
        def on_replica(features, targets):
            second = None
            if optimizer.adaptive == "algorithm2":  # another sample: here the same inputs with other targets
                second = gradients(features, targets + tf.sin(features[:, :3]))
            optimizer.apply_gradients(
                list(zip(gradients(features, targets), variables, strict=True)), second_gradients=second
            )

        strategy.run(on_replica, args=(features, targets))

    for number in range(steps):
        targets = y.copy()
        if number == poison_at:
            targets[-1] = np.nan  # on the second replica alone
        step(_split(strategy, x), _split(strategy, targets))
    values = [v.numpy() for v in variables] + [w.numpy() for w in optimizer.iterates(variables)]
    with optimizer.evaluating(variables):
        held = [v.numpy() for v in variables]
    for w, v in zip(values[3:], held, strict=True):
        np.testing.assert_array_equal(w, v)
    return values, int(optimizer.iterations.numpy()), int(optimizer.skipped_steps.numpy())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("poison_at", [None, 2])
def test_two_replicas_step_as_one(name, poison_at):
    one, *counters = _train(1, OPTIMIZERS[name], poison_at)
    two, *others = _train(2, OPTIMIZERS[name], poison_at)
    assert counters == others == [4 - (poison_at is not None), int(poison_at is not None)]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE * np.max(np.abs(a)))


BINDINGS = {
    "bert": ["bert_pretraining.dropout=0.0", "batch_size=4"],
    "resnet": ["batch_size=4", "resnet_classification.synchronized_batch_norm=True", "resnet_classification.depth=10"],
}


def _batch(task):
    """A batch of 4 examples; the masked tokens are spread unevenly over the halves."""
    random = np.random.default_rng(1)
    if task == "resnet":
        return random.normal(size=(4, 28, 28, 3)), np.array([3, 1, 7, 2], np.int32)
    weights = np.zeros((4, 10), np.float32)
    for row, count in enumerate((1, 2, 7, 10)):
        weights[row, :count] = 1
    return {
        "input_word_ids": random.integers(5, 900, (4, 64), np.int32),
        "input_mask": np.ones((4, 64), np.int32),
        "input_type_ids": np.zeros((4, 64), np.int32),
        "masked_lm_positions": np.tile(np.arange(10, dtype=np.int32), (4, 1)),
        "masked_lm_ids": random.integers(5, 900, (4, 10), np.int32),
        "masked_lm_weights": weights,
    }


def _task_step(replicas, task_name, bindings):
    """The variables before and after one step of the laptop task with its own train_step, and the loss."""
    loaded = gin_files.load(f"configs/laptop/{task_name}_nigt.gin", BINDINGS[task_name] + bindings)
    tf_keras.utils.set_random_seed(0)
    if task_name == "resnet":  # batch norm over 2 images magnifies float32's rounding 10,000-fold
        tf_keras.mixed_precision.set_global_policy("float64")
    strategy = _strategy(replicas)
    with strategy.scope():
        task = task_factory.get_task(loaded.config.task)
        model = task.build_model()
        optimizer = task.create_optimizer(loaded.config.trainer.optimizer_config, loaded.config.runtime)
        optimizer.learning_rate  # noqa: B018  (a schedule: replaced below by a rate that moves from the first step)
        optimizer._learning_rate = tf.Variable(1e-3)
        metrics = [metric for metric in task.build_metrics(training=True) if not metric.name.startswith("top_")]
    # Algorithm 2 halves each replica's part: so the first samples are examples 0 and 1 on one replica and on two.
    order = [0, 2, 1, 3] if replicas == 2 and getattr(optimizer, "adaptive", None) == "algorithm2" else [0, 1, 2, 3]
    batch = tf.nest.map_structure(lambda array: _split(strategy, array[order]), _batch(task_name))

    @tf.function
    def step(inputs):
        return strategy.run(task.train_step, args=(inputs, model, optimizer, metrics))

    start = [v.numpy() for v in model.trainable_variables]
    logs = step(batch)
    loss = strategy.reduce(tf.distribute.ReduceOp.MEAN, logs[task.loss], axis=None).numpy()
    return start, [v.numpy() for v in model.trainable_variables], loss


@pytest.fixture
def keep_policy():
    yield
    tf_keras.mixed_precision.set_global_policy("float32")


@pytest.mark.usefixtures("keep_policy")
@pytest.mark.parametrize("task", BINDINGS)
@pytest.mark.parametrize(
    "bindings", [["nigt.weight_decay=0.01"], ["nigt.adaptive='algorithm2'", "nigt.gradient_bound=5.0"]], ids=str
)
def test_two_replicas_train_the_tasks_as_one(task, bindings):
    starts, one, loss_of_one = _task_step(1, task, bindings)
    _, two, loss_of_two = _task_step(2, task, bindings)
    np.testing.assert_allclose(loss_of_one, loss_of_two, rtol=1e-5)
    for start, a, b in zip(starts, one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * max(1.0, np.max(np.abs(a))))
        if np.max(np.abs(a - start)) > 1e-6:  # and the step itself, not only where it led (a key's bias has none)
            assert np.linalg.norm(a - b) < 1e-3 * np.linalg.norm(a - start)
