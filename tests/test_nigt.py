"""NIGT's own contract: oracle, evaluation at w, and what it refuses. (tests/test_golden.py: the released optimizer.)"""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from official.core import task_factory

from nigt import NIGT
from trainers import gin_files


def two_slot_reference(x, gradients, rates, betas, *, normalize, multiplier, decay, transport, weight_norm):
    """Algorithm 1 with w kept as it is printed, in the form of section 5.1, in float64.

    Yields (w, x) after each step. betas has one entry more than gradients: x is extrapolated with the next step's β.
    """
    w = x = x.astype(np.float64)
    m = np.zeros_like(x)
    for t, gradient in enumerate(gradients.astype(np.float64)):
        m = betas[t] * m + (1 - betas[t]) * (gradient + decay * x)
        norm_x, norm_m = (np.linalg.norm(x) if weight_norm else 1.0), np.linalg.norm(m)
        ratio = norm_x / norm_m if norm_x > 0 and norm_m > 0 else 1.0
        previous, w = w, w - rates[t] * (ratio if normalize else multiplier) * m
        x = w + (betas[t + 1] / (1 - betas[t + 1]) * (w - previous) if transport else 0)
        yield w, x


@settings(deadline=None, max_examples=30)
@given(
    shape=st.sampled_from([(), (1,), (5,), (3, 4), (2, 1, 3)]),
    seed=st.integers(0, 2**31 - 1),
    excluded=st.booleans(),
    transport=st.booleans(),
    weight_norm=st.booleans(),
    decay=st.sampled_from([0.0, 1e-2]),
    varying_beta=st.booleans(),
    zero_variable=st.booleans(),
    zero_gradient_at=st.sampled_from([None, 0, 7]),
    dtype=st.sampled_from(["float64", "float32"]),
)
def test_one_slot_equals_two_slots_at_every_step(
    shape, seed, excluded, transport, weight_norm, decay, varying_beta, zero_variable, zero_gradient_at, dtype
):
    random = np.random.default_rng(seed)
    steps = 12
    start = np.zeros(shape, dtype) if zero_variable else random.normal(size=shape).astype(dtype)
    gradients = random.normal(size=(steps, *shape)).astype(dtype)
    if zero_gradient_at is not None:
        gradients[zero_gradient_at] = 0
    rates = (0.05 * random.random(steps + 1)).astype(np.float32)
    rates[[0, steps - 1]] = 0  # schedules start from 0 and end there
    table = (0.5 + 0.45 * random.random(steps + 1)).astype(dtype)
    beta = (lambda step: tf.gather(tf.constant(table), step)) if varying_beta else 0.9
    betas = table.astype(np.float64) if varying_beta else np.full(steps + 1, np.float64(np.dtype(dtype).type(0.9)))
    variable = tf.Variable(start, name="bias" if excluded else "kernel")
    rate = tf.Variable(0.0)
    optimizer = NIGT(
        rate,
        beta=beta,
        scale_by_weight_norm=weight_norm,
        implicit_gradient_transport=transport,
        excluded_learning_rate_multiplier=3.0,
        weight_decay=decay,
        exclude_from_weight_decay=(),
    )
    reference = two_slot_reference(
        start,
        gradients,
        rates.astype(np.float64),
        betas,
        normalize=not excluded,
        multiplier=3.0,
        decay=decay,
        transport=transport,
        weight_norm=weight_norm,
    )
    tolerance = {"float64": 1e-12, "float32": 2e-4}[dtype]
    for t, (w, x) in enumerate(reference):
        optimizer.learning_rate = rates[t]
        optimizer.apply_gradients([(tf.constant(gradients[t]), variable)])
        size = max(np.max(np.abs(x), initial=0), np.max(np.abs(w), initial=0), 1e-3)
        assert np.max(np.abs(variable.numpy() - x), initial=0) <= tolerance * size
        assert np.max(np.abs(optimizer.iterates([variable])[0].numpy() - w), initial=0) <= tolerance * size


def test_a_long_run_does_not_drift():
    random = np.random.default_rng(3)
    start, gradients = random.normal(size=(6, 5)), random.normal(size=(1000, 6, 5))
    rates = np.full(1000, np.float64(np.float32(1e-3)))
    variable, optimizer = tf.Variable(start, name="kernel"), NIGT(1e-3, beta=0.999)
    step = tf.function(lambda g: optimizer.apply_gradients([(g, variable)]))
    settings_ = {"normalize": True, "multiplier": 1, "decay": 0, "transport": True, "weight_norm": True}
    for gradient in gradients:
        step(tf.constant(gradient))
    *_, (w, _) = two_slot_reference(start, gradients, rates, np.full(1001, 0.999), **settings_)
    np.testing.assert_allclose(optimizer.iterates([variable])[0].numpy(), w, rtol=0, atol=1e-12 * np.max(np.abs(w)))


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
    before = [v.numpy() for v in variables]
    momentums = [v.numpy() for v in optimizer._momentums]
    with pytest.raises(RuntimeError, match=r"1 step\(s\) inside `evaluating`"), optimizer.evaluating(variables):
        step()
    for variable, old in zip([*variables, *optimizer._momentums], [*before, *momentums], strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_one_slot_a_parameter():
    variables, optimizer, _ = _trained()
    parameters = sum(int(tf.size(v)) for v in variables)
    state = sum(int(tf.size(v)) for v in optimizer.variables)
    assert parameters <= state <= parameters + len(variables) + 2  # m, a scalar a variable, iterations and the rate


def test_reset_makes_w_equal_to_x():
    variables, optimizer, _ = _trained()
    variables[0].assign(tf.ones_like(variables[0]))
    optimizer.reset(variables)
    for variable, w in zip(variables, optimizer.iterates(variables), strict=True):
        np.testing.assert_array_equal(variable.numpy(), w.numpy())
    with pytest.raises(ValueError, match="no state for other"):
        optimizer.reset([tf.Variable(1.0, name="other")])


def test_configuration_round_trip():
    optimizer = NIGT(0.02, beta=0.8, weight_decay=1e-4, exclude_from_normalization=("norm",), name="mine")
    again = NIGT.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"beta": 1.0}, "beta"),
        ({"beta": -0.1}, "beta"),
        ({"normalization": "row"}, "normalization"),
        ({"weight_decay": -1}, "weight_decay"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=named):
        NIGT(**arguments)


def test_norms_do_not_under_or_overflow_float32():
    for size in (1e-30, 1e25):
        variable = tf.Variable(np.full(4, 1.0, np.float32), name="kernel")
        NIGT(0.1, implicit_gradient_transport=False).apply_gradients(
            [(tf.constant(np.full(4, size, np.float32)), variable)]
        )
        np.testing.assert_allclose(variable.numpy(), 0.9, rtol=1e-5)


def _global_reference(starts, gradients, rate, beta, weight_norm):
    """Algorithm 1 with one norm over all variables but the excluded last one, two-slot, float64; yields all w."""
    w = [x.copy() for x in starts]
    x, m = [x.copy() for x in starts], [np.zeros_like(x) for x in starts]
    for step in gradients:
        m = [beta * a + (1 - beta) * g for a, g in zip(m, step, strict=True)]
        norm_m = np.sqrt(sum(np.sum(a**2) for a in m[:-1]))
        scale = rate * (np.sqrt(sum(np.sum(a**2) for a in x[:-1])) if weight_norm else 1) / norm_m
        scales = [scale] * (len(m) - 1) + [rate * 7.0]
        previous, w = w, [a - s * b for a, s, b in zip(w, scales, m, strict=True)]
        x = [a + beta / (1 - beta) * (a - b) for a, b in zip(w, previous, strict=True)]
        yield w


@pytest.mark.parametrize("weight_norm", [True, False])
@pytest.mark.parametrize("traced", [True, False])
def test_the_global_norm_of_algorithm_1(weight_norm, traced):
    random = np.random.default_rng(2)
    shapes = [(3, 4), (5,), (2,)]
    starts = [random.normal(size=shape) for shape in shapes]
    gradients = [[random.normal(size=shape) for shape in shapes] for _ in range(20)]
    variables = [tf.Variable(x, name=n) for x, n in zip(starts, ("kernel", "table", "bias"), strict=True)]
    rate = float(np.float32(0.01))
    optimizer = NIGT(
        rate, normalization="global", scale_by_weight_norm=weight_norm, excluded_learning_rate_multiplier=7.0
    )

    def apply(values):
        optimizer.apply_gradients(zip(values, variables, strict=True))

    apply = tf.function(apply) if traced else apply
    for step, iterates in zip(gradients, _global_reference(starts, gradients, rate, 0.9, weight_norm), strict=True):
        apply([tf.constant(g) for g in step])
        for w, expected in zip(optimizer.iterates(variables), iterates, strict=True):
            np.testing.assert_allclose(w.numpy(), expected, rtol=0, atol=1e-12 * np.max(np.abs(expected)))


@pytest.mark.parametrize("skip", [True, False])
def test_a_zero_gradient(skip):
    variable = tf.Variable(np.ones(3, np.float32), name="kernel")
    optimizer = NIGT(0.01, skip_zero_gradient=skip)
    optimizer.apply_gradients([(tf.constant([1.0, 2.0, 3.0]), variable)])
    before = [variable.numpy(), *(v.numpy() for v in optimizer._momentums + optimizer._offsets)]
    optimizer.apply_gradients([(tf.zeros(3), variable)])
    after = [variable.numpy(), *(v.numpy() for v in optimizer._momentums + optimizer._offsets)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)) == skip


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
