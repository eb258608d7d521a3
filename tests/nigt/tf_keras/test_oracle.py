"""NIGT and its relatives against nigt/reference.py, plain NumPy with w kept as the paper prints it, at every step."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from nigt import NIGT, reference
from nigt.tf_keras import betas

STEPS = 12
TOLERANCE = {"float64": 1e-12, "float32": 3e-4}
SHAPES = [(), (1,), (5,), (3, 4), (2, 1, 3)]


def _size(*arrays):
    return max(1e-3, *(np.max(np.abs(a), initial=0) for a in arrays))


class Pair:
    """The optimizer and its reference over the same variables."""

    def __init__(self, starts, dtype, form, settings_, excluded, decays_all=True, **arguments):
        """form: how the optimizer is called, "eager", "graph" or "xla". excluded: by name, biases."""
        self.variables = [
            tf.Variable(start.astype(dtype), name=f"{'bias' if out else 'kernel'}{i}")
            for i, (start, out) in enumerate(zip(starts, excluded, strict=True))
        ]
        self.dtype = dtype
        self.optimizer = NIGT(
            tf.Variable(0.0, dtype="float64"), exclude_from_weight_decay=() if decays_all else ("bias",), **arguments
        )
        starts = [v.numpy() for v in self.variables]
        undecayed = [False] * len(excluded) if decays_all else excluded
        self.reference = reference.TwoSlot(starts, excluded, reference.Settings(**settings_), undecayed)

        def apply(gradients, second):
            self.optimizer.apply_gradients(
                list(zip(gradients, self.variables, strict=True)), second_gradients=second or None
            )

        self._apply = apply if form == "eager" else tf.function(apply, jit_compile=form == "xla")
        if form != "eager":  # variables must exist before a compiled function makes them
            self.optimizer.build(self.variables)

    def step(self, gradients, rate, second=()):
        self.optimizer.learning_rate = rate
        self._apply(*([tf.constant(g, self.dtype) for g in group] for group in (gradients, second)))

    def check(self, tolerance):
        iterates = self.optimizer.iterates(self.variables)
        for variable, iterate, w, x in zip(self.variables, iterates, self.reference.w, self.reference.x, strict=True):
            limit = tolerance * _size(w, x)
            assert np.max(np.abs(variable.numpy() - x), initial=0) <= limit
            assert np.max(np.abs(iterate.numpy() - w), initial=0) <= limit


@st.composite
def problems(draw):
    """Starts, gradients and rates of 1 to 3 variables, from a seed; schedules from 0 and to 0."""
    random = np.random.default_rng(draw(st.integers(0, 2**31 - 1)))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    dtype = draw(st.sampled_from(["float64", "float32"]))
    excluded = draw(st.lists(st.booleans(), min_size=len(shapes), max_size=len(shapes)))
    starts = [random.normal(size=shape) for shape in shapes]
    if draw(st.booleans()):
        starts[0] *= 0  # a variable that starts at 0
    gradients = [[random.normal(size=shape).astype(dtype) for shape in shapes] for _ in range(STEPS)]
    zero_at = draw(st.sampled_from([None, 0, 7]))
    if zero_at is not None:
        gradients[zero_at][-1] *= 0
    rates = 0.05 * random.random(STEPS)
    rates[[0, STEPS - 1]] = 0
    return starts, gradients, rates, dtype, excluded, random


BETAS = ["number", "table", "first", "arnold"]


def _beta(kind, random, dtype):
    """The argument for NIGT and the values of STEPS + 1 steps, as rounded to dtype."""
    if kind == "number":
        return 0.9, np.full(STEPS + 1, 0.9).astype(dtype).astype(np.float64)
    if kind == "first":
        values = np.r_[0, np.full(STEPS, 0.9)].astype(dtype).astype(np.float64)
        return betas.StartingAtFirstGradient(0.9), values
    if kind == "arnold":
        t = np.arange(STEPS + 1)
        return betas.Arnold(), (t / (t + 1)).astype(dtype).astype(np.float64)
    table = (0.5 + 0.45 * random.random(STEPS + 1)).astype(dtype)
    return (lambda step: tf.gather(tf.constant(table), step)), table.astype(np.float64)


def _family(problem, form, beta_kind, normalization, transport, weight_norm, decay, decays_all, floor):
    starts, gradients, rates, dtype, excluded, random = problem
    beta, values = _beta(beta_kind, random, dtype)
    common = {
        "normalization": normalization,
        "scale_by_weight_norm": weight_norm,
        "weight_decay": decay,
        "weight_norm_floor": floor,
    }
    pair = Pair(
        starts,
        dtype,
        form,
        common | {"transport": transport, "multiplier": 3.0},
        excluded,
        decays_all,
        beta=beta,
        implicit_gradient_transport=transport,
        excluded_learning_rate_multiplier=3.0,
        **common,
    )
    for t in range(STEPS):
        pair.step(gradients[t], rates[t])
        pair.reference.step(gradients[t], float(rates[t]), values[t], values[t + 1])
        pair.check(TOLERANCE[dtype])


FAMILY = {
    "problem": problems(),
    "beta_kind": st.sampled_from(BETAS),
    "normalization": st.sampled_from(["layer", "global", "none"]),
    "transport": st.booleans(),
    "weight_norm": st.booleans(),
    "decay": st.sampled_from([0.0, 1e-2]),
    "decays_all": st.booleans(),
    "floor": st.sampled_from([0.0, 0.1]),
}
pytestmark = pytest.mark.filterwarnings("ignore:NIGT")  # zero weights and large rates are meant here


@settings(deadline=None, max_examples=60)
@given(**FAMILY)
def test_the_family_step_by_step(**case):
    _family(form="eager", **case)


@pytest.mark.parametrize("form", ["graph", "xla"])
@settings(deadline=None, max_examples=6)
@given(**FAMILY)
def test_the_family_traced_and_compiled(form, **case):
    _family(form=form, **case)


def _algorithm2(problem, form, constant, as_printed, factor):
    starts, gradients, _, dtype, excluded, random = problem
    second = [[g + 0.3 * random.normal(size=g.shape).astype(dtype) for g in step] for step in gradients]
    if as_printed:
        excluded = [False] * len(excluded)
        common = {"normalization": "global", "scale_by_weight_norm": False}
    else:
        common = {"normalization": "layer", "scale_by_weight_norm": True}
    pair = Pair(
        starts,
        dtype,
        form,
        common | {"multiplier": 3.0},
        excluded,
        adaptive="algorithm2",
        gradient_bound=2.0,
        adaptive_constant=constant,
        exclude_from_normalization=() if as_printed else ("bias",),
        excluded_learning_rate_multiplier=3.0,
        **common,
    )
    rule = reference.Algorithm2(pair.reference, 2.0, constant)
    for first, other in zip(gradients, second, strict=True):
        pair.step(first, factor, other)
        rule.step(first, other, factor)
        pair.check(TOLERANCE[dtype])
    np.testing.assert_allclose(pair.optimizer._gradient_sum.numpy(), rule.sums[-1], rtol=TOLERANCE[dtype])


ALGORITHM2 = {
    "problem": problems(),
    "constant": st.sampled_from([26, 52]),
    "as_printed": st.booleans(),
    "factor": st.sampled_from([1.0, 0.1]),
}


@settings(deadline=None, max_examples=25)
@given(**ALGORITHM2)
def test_algorithm_2_step_by_step(**case):
    _algorithm2(form="eager", **case)


@pytest.mark.parametrize("form", ["graph", "xla"])
@settings(deadline=None, max_examples=3)
@given(**ALGORITHM2)
def test_algorithm_2_traced_and_compiled(form, **case):
    _algorithm2(form=form, **case)


def _released(problem, form, decay):
    starts, gradients, rates, dtype, excluded, _ = problem
    pair = Pair(starts, dtype, form, {"multiplier": 1.0, "weight_decay": decay}, excluded, adaptive="released",
                weight_decay=decay)  # fmt: skip
    rule = reference.Released(pair.reference, excluded)
    for t, gradient in enumerate(gradients):
        pair.step(gradient, rates[t] / 50)
        rule.step(gradient, rates[t] / 50)
        pair.check(TOLERANCE[dtype] * 10)


RELEASED = {"problem": problems(), "decay": st.sampled_from([0.0, 1e-2])}


@settings(deadline=None, max_examples=25)
@given(**RELEASED)
def test_the_released_rule_step_by_step(**case):
    _released(form="eager", **case)


@pytest.mark.parametrize("form", ["graph", "xla"])
@settings(deadline=None, max_examples=3)
@given(**RELEASED)
def test_the_released_rule_traced_and_compiled(form, **case):
    _released(form=form, **case)


def _long_run(beta, steps=1000):
    """Varying rates, so that a wrong scale is seen; (start, gradients, rates)."""
    random = np.random.default_rng(3)
    t = np.arange(steps)
    return random.normal(size=(6, 5)), random.normal(size=(steps, 6, 5)), 1e-3 * (1 + np.sin(t / 7)) * (1 - t / steps)


def _error_of(iterates, start, gradients, rates, beta):
    """max|Δw|/max|w| over all steps, against two slots."""
    method, worst = reference.TwoSlot([start], [False], reference.Settings()), 0.0
    for w, gradient, rate in zip(iterates, gradients, rates, strict=True):
        method.step([gradient], rate, beta, beta)
        worst = max(worst, np.max(np.abs(w - method.w[0])) / np.max(np.abs(method.w[0])))
    return worst


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("form", ["graph", "xla"])
def test_one_slot_equals_two_slots_over_a_long_run(beta, form):
    start, gradients, rates = _long_run(beta)
    variable, rate = tf.Variable(start, name="kernel"), tf.Variable(0.0, dtype=tf.float64)
    optimizer = NIGT(rate, beta=beta)
    optimizer.build([variable])

    @tf.function(jit_compile=form == "xla")
    def step(gradient):
        optimizer.apply_gradients([(gradient, variable)])

    iterates = []
    for gradient, value in zip(gradients, rates, strict=True):
        rate.assign(value)
        step(tf.constant(gradient))
        iterates.append(optimizer.iterates([variable])[0].numpy())
    assert _error_of(iterates, start, gradients, rates, beta) <= 1e-12


def _one_slot(start, gradients, rates, beta, undo):
    """One slot in NumPy, w recomputed from x; undo says which scale takes the last offset back."""
    x, m, transport, scale = start.copy(), np.zeros_like(start), beta / (1 - beta), 0.0
    old_rate, old_ratio = 0.0, 0.0
    for gradient, rate in zip(gradients, rates, strict=True):
        new_m = beta * m + (1 - beta) * gradient
        ratio = np.linalg.norm(x) / np.linalg.norm(new_m)
        back = {"kept": scale, "current rate": rate * old_ratio, "current norm": old_rate * ratio}[undo]
        w = x + transport * back * m
        scale, old_rate, old_ratio, m = rate * ratio, rate, ratio, new_m
        w = w - scale * m
        x = w - transport * scale * m
        yield w


@pytest.mark.parametrize(("undo", "passes"), [("kept", True), ("current rate", False), ("current norm", False)])
def test_that_test_fails_for_an_offset_undone_by_the_present_rate_or_norm(undo, passes):
    start, gradients, rates = _long_run(0.9)
    iterates = _one_slot(start, gradients, rates, 0.9, undo)
    assert (_error_of(iterates, start, gradients, rates, 0.9) <= 1e-12) == passes


def test_arnold_averages_the_noise_on_a_quadratic():
    """m − ∇F(w) is the mean of the noise so far, pathwise (Arnold et al. 2019; section 3)."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(4, 4))
    hessian = matrix @ matrix.T / 4
    variable = tf.Variable(random.normal(size=4), name="kernel")
    optimizer = NIGT(0.01, beta=betas.Arnold(), normalization="none", exclude_from_normalization=())
    noise = []
    for _ in range(60):
        w = optimizer.iterates([variable])[0].numpy()
        noise.append(random.normal(size=4))
        optimizer.apply_gradients([(tf.constant(hessian @ variable.numpy() + noise[-1]), variable)])
        momentum = optimizer._momentums[0].numpy()
        np.testing.assert_allclose(momentum - hessian @ w, np.mean(noise, axis=0), atol=1e-12)
