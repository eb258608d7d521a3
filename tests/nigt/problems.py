"""What every framework's NIGT is tested on: problems, long runs, recordings, errors. NumPy alone."""

import pathlib

import numpy as np
from hypothesis import strategies as st

from nigt import betas, reference

STEPS = 12
SHAPES = [(), (1,), (5,), (3, 4), (2, 1, 3)]
GOLDEN = pathlib.Path(__file__).parent / "tf_keras" / "golden"
BETAS = ["number", "table", "first", "arnold"]


@st.composite
def problems(draw, steps=STEPS, rate=0.05, dtypes=("float64", "float32")):
    """Starts, gradients and rates of 1 to 3 variables, from a seed; schedules from 0 and to 0.

    (starts, gradients, rates, dtype, excluded, random)
    """
    random = np.random.default_rng(draw(st.integers(0, 2**31 - 1)))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    dtype = draw(st.sampled_from(dtypes))
    excluded = draw(st.lists(st.booleans(), min_size=len(shapes), max_size=len(shapes)))
    starts = [random.normal(size=shape) for shape in shapes]
    if draw(st.booleans()):
        starts[0] *= 0  # a variable that starts at 0
    gradients = [[random.normal(size=shape).astype(dtype) for shape in shapes] for _ in range(steps)]
    zero_at = draw(st.sampled_from([None, 0, 7]))
    if zero_at is not None:
        gradients[zero_at][-1] *= 0
    rates = rate * random.random(steps)
    rates[[0, steps - 1]] = 0
    return starts, gradients, rates, dtype, excluded, random


# With problems(), the family of methods: what to draw for each of its arguments.
FAMILY = {
    "beta_kind": st.sampled_from(BETAS),
    "normalization": st.sampled_from(["layer", "global", "none"]),
    "transport": st.booleans(),
    "weight_norm": st.booleans(),
    "decay": st.sampled_from([0.0, 1e-2]),
    "decays_all": st.booleans(),
    "floor": st.sampled_from([0.0, 0.1]),
}
ALGORITHM2 = {
    "constant": st.sampled_from([26, 52]),
    "as_printed": st.booleans(),
    "factor": st.sampled_from([1.0, 0.1]),
}


def beta_of(kind, random, dtype, take, steps=STEPS):
    """The argument for NIGT and the values of steps + 1 steps, as rounded to dtype.

    take: (table, step) to the table's value, in the framework.
    """
    t = np.arange(steps + 1)
    table = (0.5 + 0.45 * random.random(steps + 1)).astype(dtype)
    argument, values = {
        "number": (0.9, np.full(steps + 1, 0.9)),
        "first": (betas.StartingAtFirstGradient(0.9), np.r_[0, np.full(steps, 0.9)]),
        "arnold": (betas.Arnold(), t / (t + 1)),
        "table": (lambda step: take(table, step), table),
    }[kind]
    return argument, values.astype(dtype).astype(np.float64)


def size(*arrays):
    """The largest magnitude, at least 1e-3: what an error is compared with."""
    return max(1e-3, *(np.max(np.abs(a), initial=0) for a in arrays))


def assert_close(values, references, tolerance, scales):
    """max|value − reference| ≤ tolerance·size(scales), for each."""
    for value, reference_, scale in zip(values, references, scales, strict=True):
        assert np.max(np.abs(np.asarray(value) - reference_), initial=0) <= tolerance * size(*scale)


def long_run(steps=1000):
    """Varying rates, so that a wrong scale is seen; (start, gradients, rates)."""
    random = np.random.default_rng(3)
    t = np.arange(steps)
    return random.normal(size=(6, 5)), random.normal(size=(steps, 6, 5)), 1e-3 * (1 + np.sin(t / 7)) * (1 - t / steps)


def error_of(iterates, start, gradients, rates, beta):
    """max|Δw|/max|w| over all steps, against two slots."""
    method, worst = reference.TwoSlot([start], [False], reference.Settings()), 0.0
    for w, gradient, rate in zip(iterates, gradients, rates, strict=True):
        method.step([gradient], rate, beta, beta)
        worst = max(worst, np.max(np.abs(w - method.w[0])) / np.max(np.abs(method.w[0])))
    return worst


def recording(name):
    """One of the released optimizer's recordings (tests/nigt/tf_keras/golden/README.md)."""
    return np.load(GOLDEN / f"{name}.npz")


def recorded_error(values, references):
    """max|Δ| / max|reference| of the worst step."""
    return max(
        np.max(np.abs(value - reference_)) / max(np.max(np.abs(reference_)), np.finfo(np.float32).tiny)
        for value, reference_ in zip(values, references, strict=True)
    )
