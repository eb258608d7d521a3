"""NIGT and its relatives against nigt/reference.py, plain NumPy with w kept as the paper prints it, at every step."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from nigt import NIGT, betas, reference
from tests.nigt.problems import ALGORITHM2, FAMILY, STEPS, beta_of, error_of, long_run, problems, size

TOLERANCE = {"float64": 1e-12, "float32": 3e-4}


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
            limit = tolerance * size(w, x)
            assert np.max(np.abs(variable.numpy() - x), initial=0) <= limit
            assert np.max(np.abs(iterate.numpy() - w), initial=0) <= limit


def _family(problem, form, beta_kind, normalization, transport, weight_norm, decay, decays_all, floor):
    starts, gradients, rates, dtype, excluded, random = problem
    beta, values = beta_of(beta_kind, random, dtype, lambda table, step: tf.gather(tf.constant(table), step))
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


pytestmark = pytest.mark.filterwarnings("ignore:NIGT")  # zero weights and large rates are meant here


@settings(deadline=None, max_examples=60)
@given(problem=problems(), **FAMILY)
def test_the_family_step_by_step(**case):
    _family(form="eager", **case)


@pytest.mark.parametrize("form", ["graph", "xla"])
@settings(deadline=None, max_examples=6)
@given(problem=problems(), **FAMILY)
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


@settings(deadline=None, max_examples=25)
@given(problem=problems(), **ALGORITHM2)
def test_algorithm_2_step_by_step(**case):
    _algorithm2(form="eager", **case)


@pytest.mark.parametrize("form", ["graph", "xla"])
@settings(deadline=None, max_examples=3)
@given(problem=problems(), **ALGORITHM2)
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


RELEASED = {"decay": st.sampled_from([0.0, 1e-2])}


@settings(deadline=None, max_examples=25)
@given(problem=problems(), **RELEASED)
def test_the_released_rule_step_by_step(**case):
    _released(form="eager", **case)


@pytest.mark.parametrize("form", ["graph", "xla"])
@settings(deadline=None, max_examples=3)
@given(problem=problems(), **RELEASED)
def test_the_released_rule_traced_and_compiled(form, **case):
    _released(form=form, **case)


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("form", ["graph", "xla"])
def test_one_slot_equals_two_slots_over_a_long_run(beta, form):
    start, gradients, rates = long_run()
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
    assert error_of(iterates, start, gradients, rates, beta) <= 1e-12


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
    start, gradients, rates = long_run()
    iterates = _one_slot(start, gradients, rates, 0.9, undo)
    assert (error_of(iterates, start, gradients, rates, 0.9) <= 1e-12) == passes


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
