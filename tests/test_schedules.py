"""The schedules of section 5 against their closed forms."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from official.modeling.optimization import optimizer_factory

from trainers import schedules
from trainers.optimizers import OptimizationConfig, OptimizerConfig


def _built(schedule):
    """The schedule as the trainers build it: through tf-models-official's factory."""
    config = OptimizationConfig(
        optimizer=OptimizerConfig(type="sgd"), learning_rate=schedule.learning_rate, warmup=schedule.warmup
    )
    rate = optimizer_factory.OptimizerFactory(config).build_learning_rate()
    return lambda step: float(rate(tf.constant(step, tf.int64)))


@settings(deadline=None, max_examples=25)
@given(
    eta0=st.floats(1e-5, 1.0),
    train_steps=st.integers(10, 500_000),
    share=st.floats(0, 0.5),
    power=st.sampled_from([1.0, 2.0]),
    where=st.floats(0, 1),
)
def test_warmup_and_polynomial_decay(eta0, train_steps, share, power, where):
    """η0·t/W for t < W, then η0·(1 − t/T)^p."""
    warmup_steps = int(share * train_steps)
    rate = _built(schedules.warmup_polynomial_decay(eta0, train_steps, warmup_steps, power))
    for t in {0, max(warmup_steps - 1, 0), warmup_steps, int(where * train_steps), train_steps - 1, train_steps}:
        expected = eta0 * t / warmup_steps if t < warmup_steps else eta0 * (1 - t / train_steps) ** power
        assert rate(t) == pytest.approx(expected, rel=2e-5, abs=1e-6 * eta0)


def test_the_warmup_does_not_end_where_the_library_ends_it():
    """tf-models-official's warm-up ends at η0·(1 − W/T)^p; Devlin et al.'s at η0."""
    rate = _built(schedules.warmup_polynomial_decay(1.0, 1000, 500, 2.0))
    assert rate(499) == pytest.approx(0.998) and rate(500) == pytest.approx(0.25)


@pytest.mark.parametrize("train_steps", [112_603, 3852, 2568])
def test_sgd_of_section_5_3(train_steps):
    """Linear warm-up for 5 of 90 epochs to 0.4, then a tenth of it from epochs 30, 60 and 80 on."""
    rate = _built(schedules.warmup_step_decay(0.4, train_steps))
    warmup_steps = round(train_steps * 5 / 90)
    boundaries = [round(train_steps * epoch / 90) for epoch in (30, 60, 80)]
    for t in [0, 1, warmup_steps // 2, warmup_steps - 1]:
        assert rate(t) == pytest.approx(0.4 * t / warmup_steps, rel=1e-5)
    for t in [warmup_steps, *boundaries, *(b - 1 for b in boundaries), *(b + 1 for b in boundaries), train_steps - 1]:
        assert rate(t) == pytest.approx(0.4 * 0.1 ** sum(t >= b for b in boundaries), rel=1e-5)


def test_a_run_too_short_for_its_boundaries_is_refused():
    with pytest.raises(ValueError, match="too few"):
        schedules.warmup_step_decay(0.4, 4)
    with pytest.raises(ValueError, match="warmup_steps"):
        schedules.warmup_polynomial_decay(0.4, 5, 5, 1.0)


def test_the_schedule_survives_serialization():
    rate = schedules.WarmupPolynomialDecay(0.1, 10, 100, 2.0)
    again = schedules.WarmupPolynomialDecay.from_config(rate.get_config())
    steps = tf.range(0, 101)
    np.testing.assert_array_equal([float(rate(t)) for t in steps], [float(again(t)) for t in steps])
