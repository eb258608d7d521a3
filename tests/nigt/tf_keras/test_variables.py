"""Which variables the optimizer knows: those that were frozen since, and those that it never saw."""

import re
import warnings

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from nigt import NIGT, EvaluateAtIterate

layers = tf_keras.layers
X = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
Y = np.tanh(X[:, :1])


def _model(frozen=()):
    tf_keras.utils.set_random_seed(1)
    model = tf_keras.Sequential([layers.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(4, "tanh"), layers.Dense(1)])
    _compile(model, NIGT(0.01, excluded_learning_rate_multiplier=10.0), frozen)
    return model


def _compile(model, optimizer, frozen=(), **arguments):
    for place, layer in enumerate(model.layers):
        layer.trainable = place not in frozen
    model.compile(optimizer, "mse", **arguments)


def _fit(model, **arguments):
    settings = {"batch_size": 16, "shuffle": False, "verbose": 0, "validation_data": (X, Y)} | arguments
    return model.fit(X, Y, callbacks=[EvaluateAtIterate()], **settings).history["val_loss"][-1]


def _loss_at(model, values):
    """Of a copy of the model with these values."""
    copy = _model()
    for variable, value in zip(copy.variables, values, strict=True):
        variable.assign(value)
    return copy.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("frozen", [(0,), (0, 1), (2,), (0, 1, 2)])
def test_a_layer_that_was_frozen_between_two_fits_is_evaluated_at_its_w(frozen):
    model = _model()
    _fit(model)
    optimizer, every = model.optimizer, model.variables
    _compile(model, optimizer, frozen)
    if len(frozen) < 3:
        logged = _fit(model)
        np.testing.assert_allclose(logged, _loss_at(model, optimizer.iterates(every)), rtol=1e-6)
    iterates, before = [w.numpy() for w in optimizer.iterates(every)], model.get_weights()
    assert all(np.any(w != x) for w, x in zip(iterates, before, strict=True))
    with optimizer.evaluating(model.trainable_variables):
        for w, variable in zip(iterates, every, strict=True):
            np.testing.assert_array_equal(w, variable.numpy())
        np.testing.assert_array_equal(iterates[0], optimizer.iterates(every)[0].numpy())
    for x, variable in zip(before, every, strict=True):
        np.testing.assert_array_equal(x, variable.numpy())
    _compile(model, optimizer)  # and thawed
    _fit(model)


def test_a_layer_that_was_frozen_and_loaded_is_named():
    model = _model()
    _fit(model)
    _compile(model, model.optimizer, (0,))
    model.set_weights([2 * weight for weight in model.get_weights()])
    model.optimizer.reset(model.trainable_variables)
    with pytest.warns(UserWarning, match=r"changed from outside.*dense.*/kernel:0;"):
        with model.optimizer.evaluating(model.trainable_variables):
            pass


def test_layers_that_were_frozen_from_the_start_are_their_own_iterates():
    model = _model((0,))
    logged = _fit(model)
    _compile(model, model.optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with model.optimizer.evaluating(model.trainable_variables):
            np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), logged, rtol=1e-6)
    with pytest.raises(ValueError, match=r"NIGT does not know dense.*/kernel:0: .*optimizer\.build\(variables\)"):
        _fit(model)


def test_the_variables_of_a_copy_of_the_model_are_warned_of():
    model, copy = _model(), _model()
    _fit(model)
    with pytest.warns(UserWarning, match=r"knows none of these variables, dense\w*/kernel:0 and so on"):
        model.optimizer.iterates(copy.trainable_variables)
    with pytest.warns(UserWarning, match="knows none"), model.optimizer.evaluating(copy.trainable_variables):
        assert any(np.any(a != b) for a, b in zip(model.get_weights(), copy.get_weights(), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.optimizer.iterates([tf.Variable(1.0, trainable=False), *model.trainable_variables])
        model.optimizer.iterates([tf.Variable(1.0, trainable=False)])


VARIANTS = {
    "layer": {},
    "global": {"normalization": "global"},
    "none": {"normalization": "none"},
    "decay": {"weight_decay": 0.1, "skip_zero_gradient": True},
    "algorithm2": {"adaptive": "algorithm2", "gradient_bound": 5.0},
    "released": {"adaptive": "released"},
    "bfloat16": {"momentum_dtype": "bfloat16"},
}


@pytest.mark.parametrize("form", ["eager", "graph", "xla"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("own", ["kernel", "bias"])
def test_a_variable_that_came_later_is_refused_in_one_line(variant, form, own):
    known, later = tf.Variable(tf.ones(3), name="kernel"), tf.Variable(tf.ones(4), name=f"later/{own}")
    optimizer = NIGT(0.01, **VARIANTS[variant])

    def step(*variables):
        gradients = [tf.ones_like(v) for v in variables]
        second = {"second_gradients": gradients} if variant == "algorithm2" else {}
        optimizer.apply_gradients(zip(gradients, variables, strict=True), **second)

    forms = {
        "eager": step,
        "graph": lambda *variables: tf.function(lambda: step(*variables))(),
        "xla": lambda *variables: tf.function(lambda: step(*variables), jit_compile=True)(),
    }
    forms[form](known)
    before = [v.numpy() for v in [known, later, *optimizer.variables]]
    with pytest.raises(ValueError) as refused:
        forms[form](known, later)
    line = str(refused.value).strip().splitlines()[-1]
    assert re.search(rf"NIGT does not know later/{own}:0: .*optimizer\.build\(variables\)", line)
    for old, new in zip(before, [known, later, *optimizer.variables], strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    forms[form](known)
    with pytest.raises(ValueError, match=rf"no state for later/{own}:0"):
        optimizer.reset([known, later])


@pytest.mark.parametrize("arguments", [{}, {"run_eagerly": True}, {"jit_compile": True}], ids=str)
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_fit_names_a_layer_that_was_thawed(arguments, policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = _model((0,))
        _fit(model)
        _compile(model, model.optimizer, **arguments)
        with pytest.raises(ValueError, match=r"NIGT does not know dense\w*/kernel:0"):
            _fit(model)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")


def test_a_variable_that_came_later_without_a_gradient_is_no_matter():
    known, later = tf.Variable(tf.ones(3), name="kernel"), tf.Variable(tf.ones(4), name="later")
    optimizer = NIGT(0.01)
    optimizer.build([known])
    optimizer.apply_gradients([(tf.ones(3), known), (None, later)])
    assert np.all(later.numpy() == 1) and np.all(known.numpy() != 1)
