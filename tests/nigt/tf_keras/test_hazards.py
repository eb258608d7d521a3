"""What goes wrong with optimizers of this kind, and what NIGT does then (docs/hazards.md)."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from nigt import NIGT

FORMS = ["eager", "graph", "xla"]


def _stepper(optimizer, variables, form):
    def apply(*gradients):
        optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))

    optimizer.build(variables)
    return apply if form == "eager" else tf.function(apply, jit_compile=form == "xla")


def _values(optimizer, variables):
    return [v.numpy() for v in [*variables, *optimizer.variables]]


VARIANTS = [
    {},
    {"normalization": "global"},
    {"normalization": "none"},
    {"adaptive": "released"},
    {"momentum_dtype": "bfloat16"},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("arguments", VARIANTS, ids=str)
def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted(form, bad, arguments):
    variables = [tf.Variable(tf.ones(5), name="kernel"), tf.Variable(tf.ones((2, 3)), name="bias")]
    optimizer = NIGT(0.01, **arguments)
    step = _stepper(optimizer, variables, form)
    good = [tf.constant([1.0, 2, 3, 4, 5]), tf.ones((2, 3))]
    step(*good)
    before = _values(optimizer, variables)
    for place in (0, 1):  # a normalized variable, an excluded one
        poisoned = [g.numpy() for g in good]
        poisoned[place].flat[-1] = bad
        step(*map(tf.constant, poisoned))
    assert int(optimizer.skipped_steps) == 2
    optimizer.skipped_steps.assign(0)
    for old, new in zip(before, _values(optimizer, variables), strict=True):
        np.testing.assert_array_equal(old, new)
    step(*good)
    assert int(optimizer.iterations) == 2 and int(optimizer.skipped_steps) == 0
    assert all(np.all(np.isfinite(value)) for value in _values(optimizer, variables))


def test_algorithm_2_counts_a_second_gradient_that_is_not_finite():
    variable = tf.Variable(tf.ones(3), name="kernel")
    optimizer = NIGT(adaptive="algorithm2", gradient_bound=1.0)
    optimizer.apply_gradients([(tf.ones(3), variable)], second_gradients=[tf.ones(3)])
    before = _values(optimizer, [variable])
    optimizer.apply_gradients([(tf.ones(3), variable)], second_gradients=[tf.constant([1, np.nan, 1])])
    assert int(optimizer.skipped_steps) == 1
    optimizer.skipped_steps.assign(0)
    for old, new in zip(before, _values(optimizer, [variable]), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1e-34, 1e-30, 1e-22, 1e10, 1e25, 1e37])
def test_norms_do_not_under_or_overflow_float32(form, size):
    """At a gradient scale of 1e-22 or 1e20 a plain float32 norm is 0 or infinite."""
    variable = tf.Variable(np.full(4, 1.0, np.float32), name="kernel")
    optimizer = NIGT(0.1, implicit_gradient_transport=False)
    _stepper(optimizer, [variable], form)(tf.constant(np.full(4, size, np.float32)))
    np.testing.assert_allclose(variable.numpy(), 0.9, rtol=1e-5)
    assert int(optimizer.skipped_steps) == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_weight_norms_do_not_under_or_overflow_float32(form, size):
    variable = tf.Variable(np.full(4, size, np.float32), name="kernel")
    optimizer = NIGT(0.1, implicit_gradient_transport=False)
    step = _stepper(optimizer, [variable], form)
    for expected in (0.9, 0.81):
        step(tf.ones(4))
        np.testing.assert_allclose(variable.numpy() / size, expected, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_zero_gradient_moves_on_along_m_unless_it_is_skipped(form, skip, decay):
    variables = [tf.Variable(tf.ones(3), name="kernel"), tf.Variable(tf.ones(3), name="other")]
    optimizer = NIGT(0.01, skip_zero_gradient=skip, weight_decay=decay)
    step = _stepper(optimizer, variables, form)
    step(tf.constant([1.0, 2, 3]), tf.constant([1.0, 2, 3]))
    before = [v.numpy() for v in (variables[0], optimizer._momentums[0], optimizer._offsets[0])]
    other = variables[1].numpy()
    step(tf.zeros(3), tf.ones(3))
    after = [v.numpy() for v in (variables[0], optimizer._momentums[0], optimizer._offsets[0])]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)) == skip
    assert np.any(variables[1].numpy() != other)
    assert int(optimizer.iterations) == 2 and int(optimizer.skipped_steps) == 0


def test_gradients_that_are_all_zero_from_the_start_leave_finite_values():
    for arguments in VARIANTS:
        variable = tf.Variable(tf.ones(3), name="kernel")
        optimizer = NIGT(0.01, **arguments)
        for _ in range(3):
            optimizer.apply_gradients([(tf.zeros(3), variable)])
        np.testing.assert_array_equal(variable.numpy(), 1)
        optimizer.apply_gradients([(tf.ones(3), variable)])
        assert np.all(np.isfinite(variable.numpy())) and np.all(variable.numpy() != 1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("arguments", VARIANTS[:2], ids=str)
def test_a_gradient_that_stays_zero_until_m_has_decayed_to_nothing_does_no_harm(form, arguments):
    """‖x‖/‖m‖ overflows float32 on the way."""
    variable = tf.Variable(tf.fill([4], 100.0), name="kernel")
    optimizer = NIGT(1e-4, beta=0.5, **arguments)
    step = _stepper(optimizer, [variable], form)
    step(tf.ones(4))
    for _ in range(160):
        step(tf.zeros(4))
    assert np.all(np.isfinite(variable.numpy())) and np.all(np.isfinite(optimizer.iterates([variable])[0].numpy()))
    assert int(optimizer.skipped_steps) == 0
    before = variable.numpy()
    step(tf.ones(4))
    assert np.all(variable.numpy() < before)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e20])
def test_the_released_rule_does_not_under_or_overflow(form, size):
    """G² is beyond float32 at all of them. (Small gradients make η_t large, by the rule itself.)"""
    variable = tf.Variable(np.full(4, 1.0, np.float32), name="kernel")
    optimizer = NIGT(1e-9, adaptive="released")
    step = _stepper(optimizer, [variable], form)
    for _ in range(2):
        before = variable.numpy()
        step(tf.constant(np.full(4, size, np.float32)))
        assert np.all(np.isfinite(variable.numpy())) and int(optimizer.skipped_steps) == 0
        assert size > 1 or np.all(variable.numpy() != before)
    assert np.all(np.isfinite(optimizer.iterates([variable])[0].numpy()))


def test_the_released_rule_with_a_multiplier_of_0_still_moves_normalized_variables():
    variable = tf.Variable(tf.ones(4), name="kernel")
    NIGT(0.01, adaptive="released", excluded_learning_rate_multiplier=0.0).apply_gradients([(tf.ones(4), variable)])
    assert np.all(np.isfinite(variable.numpy())) and np.all(variable.numpy() < 1)


def test_variables_changed_from_outside_are_named_and_reset_mends():
    variables = [tf.Variable(tf.ones(3), name="kernel"), tf.Variable(tf.ones(3), name="untouched")]
    optimizer = NIGT(0.01)
    step = _stepper(optimizer, variables, "graph")
    step(tf.ones(3), tf.ones(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with optimizer.evaluating(variables):
            pass
    variables[0].assign([5.0, 6, 7])
    with pytest.warns(UserWarning, match=r"changed from outside.*kernel:0; call optimizer.reset"):
        with optimizer.evaluating(variables):
            pass
    optimizer.reset([variables[0]])
    np.testing.assert_array_equal(optimizer.iterates(variables)[0].numpy(), [5, 6, 7])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with optimizer.evaluating(variables):
            pass
    # The next step is that of a fresh optimizer at the new values.
    step(tf.constant([1.0, 0, 0]), tf.zeros(3))
    fresh = tf.Variable([5.0, 6, 7], name="kernel")
    NIGT(0.01).apply_gradients([(tf.constant([1.0, 0, 0]), fresh)])
    np.testing.assert_allclose(variables[0].numpy(), fresh.numpy(), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_constraint_is_followed(form):
    """‖x‖ is that of the projected variable, as in an optimizer that keeps no norms."""
    start, random = np.array([3.0, 4.0]), np.random.default_rng(0)

    def project(x):
        return x / tf.norm(x)

    kept = tf.Variable(start, name="kernel", constraint=project)
    optimizer = NIGT(0.05, implicit_gradient_transport=False, beta=0.5)
    step = _stepper(optimizer, [kept], form)
    x, m = start.copy(), np.zeros(2)
    for _ in range(5):
        gradient = random.normal(size=2)
        step(tf.constant(gradient))
        m = 0.5 * m + 0.5 * gradient
        x = x - float(np.float32(0.05)) * np.linalg.norm(x) / np.linalg.norm(m) * m
        x /= np.linalg.norm(x)
        np.testing.assert_allclose(kept.numpy(), x, rtol=1e-12)


def test_zero_weights_are_warned_of_and_a_floor_frees_them():
    def distance(**arguments):
        variable = tf.Variable(tf.zeros(4), name="zero_kernel")
        optimizer = NIGT(0.01, implicit_gradient_transport=False, **arguments)
        for _ in range(50):
            optimizer.apply_gradients([(tf.ones(4), variable)])
        return float(tf.norm(variable))

    with pytest.warns(UserWarning, match=r"zero_kernel:0 starts at 0.*weight_norm_floor"):
        stuck = distance()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        free = distance(weight_norm_floor=1.0)
    assert stuck < 0.03 and free > 0.45


@pytest.mark.parametrize("beta", [1, 1.0, 1.5, -0.1, float("nan")])
def test_a_beta_outside_its_range_is_refused_with_the_reason(beta):
    with pytest.raises(ValueError, match=r"beta must be in \[0, 1\).*needs beta < 1"):
        NIGT(beta=beta)


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        ({"learning_rate": 0.01, "beta": 0.9}, False),
        ({"learning_rate": 0.02, "beta": 0.9}, True),
        ({"learning_rate": 1e-3, "beta": 0.999}, True),
        ({"learning_rate": 1e-3, "beta": 0.999, "implicit_gradient_transport": False}, False),
        ({"learning_rate": 1e-3, "beta": 0.999, "scale_by_weight_norm": False}, False),
        ({"learning_rate": tf_keras.optimizers.schedules.PolynomialDecay(0.5, 1000)}, True),
        ({"learning_rate": tf_keras.optimizers.schedules.PolynomialDecay(0.001, 1000)}, False),
    ],
)
def test_a_beta_near_1_for_its_rate_is_warned_of(arguments, warned):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        NIGT(**arguments)
    assert any("makes the weights grow" in str(w.message) for w in caught) == warned


def test_the_warned_of_weights_do_grow():
    """At β/(1−β)·η = 0.3 the weights grow tenfold within 20/(1−β) steps of pure noise; at 0.05 hardly."""

    def growth(distance, beta=0.9):
        random = np.random.default_rng(0)
        variable = tf.Variable(random.normal(size=100), name="kernel")
        before = np.linalg.norm(variable.numpy())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer = NIGT(distance * (1 - beta) / beta, beta=beta)
        step = _stepper(optimizer, [variable], "graph")
        for _ in range(int(20 / (1 - beta))):
            step(tf.constant(random.normal(size=100)))
        return np.linalg.norm(variable.numpy()) / before

    assert growth(0.3) > 3 and growth(0.05) < 1.3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_parameters_of_16_bits_are_refused(dtype):
    variable = tf.Variable(tf.ones(3, dtype), name="kernel")
    with pytest.raises(ValueError, match=rf"kernel:0 is {dtype}.*mixed_bfloat16"):
        NIGT().apply_gradients([(tf.ones(3, dtype), variable)])


@pytest.mark.parametrize("form", FORMS)
def test_momentum_in_bfloat16_drifts_little(form):
    """The error feedback of docs/hazards.md: over 2000 steps far nearer than one rounding a step would leave it."""
    random = np.random.default_rng(4)
    start = random.normal(size=(20, 30)).astype(np.float32)
    full, half = tf.Variable(start, name="kernel"), tf.Variable(start, name="kernel")
    exact, rounded = NIGT(1e-3), NIGT(1e-3, momentum_dtype="bfloat16")
    steps = [_stepper(exact, [full], form), _stepper(rounded, [half], form)]
    for _ in range(300 if form == "eager" else 2000):
        gradient = tf.constant(random.normal(size=start.shape).astype(np.float32))
        for step in steps:
            step(gradient)
    w, v = exact.iterates([full])[0].numpy(), rounded.iterates([half])[0].numpy()
    assert 0 < np.linalg.norm(w - v) < 1e-3 * np.linalg.norm(w)


def test_a_moving_average_of_x_is_refused():
    with pytest.raises(ValueError, match="use_ema"):
        NIGT(use_ema=True)
