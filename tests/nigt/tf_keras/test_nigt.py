"""NIGT's own contract: evaluation at w, state, and what it refuses. (test_oracle.py: its numbers.)"""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import task_factory

from nigt import NIGT
from trainers import gin_files


def _trained(steps=5, jit=False):
    """A small model after a few steps, its optimizer, and the traced step."""
    tf_keras.utils.set_random_seed(1)
    model = tf_keras.Sequential([tf_keras.layers.Dense(4, activation="tanh"), tf_keras.layers.Dense(1)])
    features, targets = tf.random.normal((32, 3)), tf.random.normal((32, 1))
    model(features)
    optimizer = NIGT(1e-2)

    @tf.function(jit_compile=jit)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(features) - targets))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for _ in range(steps):
        step()
    return model.trainable_variables, optimizer, step


def test_evaluating_holds_w_and_gives_x_back_bit_for_bit():
    variables, optimizer, _ = _trained()
    before = [v.numpy() for v in variables]
    iterates = [w.numpy() for w in optimizer.iterates(variables)]
    assert any(np.any(x != w) for x, w in zip(before, iterates, strict=True))
    state = [v.numpy() for v in optimizer.variables]
    with optimizer.evaluating(variables):
        for variable, w in zip(variables, iterates, strict=True):
            np.testing.assert_array_equal(variable.numpy(), w)
    for variable, x in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), x)
    for variable, old in zip(optimizer.variables, state, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_evaluating_gives_x_back_when_the_evaluation_fails():
    variables, optimizer, step = _trained()
    before = [v.numpy() for v in variables]
    with pytest.raises(KeyError), optimizer.evaluating(variables):
        raise KeyError
    for variable, x in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), x)
    step()  # and training goes on


def test_evaluating_gives_x_back_when_entering_it_is_cut_off(monkeypatch):
    variables, optimizer, step = _trained()
    state = [*variables, *optimizer.variables]
    before = [v.numpy() for v in state]
    calls = iter(range(10))

    def cut_off(*_):
        if next(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(optimizer, "_store_weight_norm", cut_off)
    with pytest.raises(KeyboardInterrupt), optimizer.evaluating(variables):
        pytest.fail("never entered")
    for variable, old in zip(state, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)
    step()  # and training goes on


def test_a_step_inside_evaluating_is_refused():
    variables, optimizer, step = _trained()
    before = [v.numpy() for v in variables + optimizer.variables]
    with optimizer.evaluating(variables):
        with pytest.raises(RuntimeError, match="inside `evaluating`"):
            optimizer.apply_gradients([(tf.zeros_like(v), v) for v in variables])
        with pytest.raises(tf.errors.InvalidArgumentError, match="inside `evaluating`"):
            step()
    for variable, old in zip(variables + optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_a_compiled_step_inside_evaluating_changes_nothing_and_is_reported():
    variables, optimizer, step = _trained(jit=True)
    state = [*variables, *optimizer.variables]
    before = [v.numpy() for v in state]
    with pytest.raises(RuntimeError, match=r"1 step\(s\) inside `evaluating`"), optimizer.evaluating(variables):
        step()
    for variable, old in zip(state, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_one_slot_a_parameter():
    variables, optimizer, _ = _trained()
    parameters = sum(int(tf.size(v)) for v in variables)
    state = sum(int(tf.size(v)) for v in optimizer.variables)
    assert parameters <= state <= parameters + 2 * len(variables) + 3  # m, two scalars a variable, three counters


def test_reset_makes_w_equal_to_x():
    variables, optimizer, _ = _trained()
    variables[0].assign(tf.ones_like(variables[0]))
    optimizer.reset(variables)
    for variable, w in zip(variables, optimizer.iterates(variables), strict=True):
        np.testing.assert_array_equal(variable.numpy(), w.numpy())
    with pytest.raises(ValueError, match="no state for other"):
        optimizer.reset([tf.Variable(1.0, name="other")])


def test_bfloat16_momentum_halves_the_slot_and_stays_near():
    random = np.random.default_rng(4)
    start = random.normal(size=(20, 30)).astype(np.float32)
    full, half = tf.Variable(start, name="kernel"), tf.Variable(start, name="kernel")
    exact, rounded = NIGT(1e-3), NIGT(1e-3, momentum_dtype="bfloat16")
    for _ in range(300):
        gradient = tf.constant(random.normal(size=start.shape).astype(np.float32))
        exact.apply_gradients([(gradient, full)])
        rounded.apply_gradients([(gradient, half)])
    (slot,) = rounded._momentums
    assert slot.dtype == tf.bfloat16 and slot.shape == full.shape
    w, v = exact.iterates([full])[0].numpy(), rounded.iterates([half])[0].numpy()
    assert 0 < np.linalg.norm(w - v) < 1e-3 * np.linalg.norm(w - start)


def test_the_default_exclusions_cover_the_trainers_models():
    """Every bias, batch-norm and layer-norm variable of the two models, and nothing else (section 5.1)."""
    optimizer = NIGT()
    for file in ("configs/laptop/bert_nigt.gin", "configs/laptop/resnet_nigt.gin"):
        task = task_factory.get_task(gin_files.load(file, []).config.task)
        for variable in task.build_model().trainable_variables:
            matrix = re.search(r"(kernel|embeddings):", variable.name) is not None
            assert optimizer._is_normalized(variable) == matrix, variable.name
