"""The schedules of section 5 against their closed forms."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from official.modeling.optimization import optimizer_factory

from trainers import gin_files
from trainers.model_garden import schedules
from trainers.model_garden.optimizers import OptimizationConfig, OptimizerConfig
from trainers.schema.schedules import WarmupPolynomialDecay, WarmupStepDecay, first_step


def _built(schedule):
    """The schedule as the trainers build it: through tf-models-official's factory."""
    learning_rate, warmup = schedules.configuration(schedule)
    return _rate(OptimizationConfig(optimizer=OptimizerConfig(type="sgd"), learning_rate=learning_rate, warmup=warmup))


def _polynomial(*values):
    return WarmupPolynomialDecay(**dict(zip(("eta0", "train_steps", "warmup_steps", "power"), values, strict=True)))


def _by_steps(*values):
    return WarmupStepDecay(**dict(zip(("eta0", "train_steps", "images", "batch_size"), values, strict=True)))


def _rate(config):
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
    rate = _built(_polynomial(eta0, train_steps, warmup_steps, power))
    for t in {0, max(warmup_steps - 1, 0), warmup_steps, int(where * train_steps), train_steps - 1, train_steps}:
        expected = eta0 * t / warmup_steps if t < warmup_steps else eta0 * (1 - t / train_steps) ** power
        assert rate(t) == pytest.approx(expected, rel=2e-5, abs=1e-6 * eta0)


def test_the_warmup_does_not_end_where_the_library_ends_it():
    """tf-models-official's warm-up ends at η0·(1 − W/T)^p; Devlin et al.'s at η0."""
    rate = _built(_polynomial(1.0, 1000, 500, 2.0))
    assert rate(499) == pytest.approx(0.998) and rate(500) == pytest.approx(0.25)


# ILSVRC2012's training set and section 5.3's batch.
IMAGES, BATCH = 1_281_167, 1024


@pytest.mark.parametrize(
    ("epoch", "step"), [(0, 0), (1, 1252), (5, 6256), (30, 37_535), (60, 75_069), (80, 100_092), (90, 112_603)]
)
def test_an_epoch_begins_at_the_first_step_after_its_images(epoch, step):
    """Step t has seen t·1024 images before it: the first with as many as the epoch's, and the one before with fewer."""
    assert first_step(epoch, IMAGES, BATCH) == step
    assert step * BATCH >= epoch * IMAGES and (step == 0 or (step - 1) * BATCH < epoch * IMAGES)


def test_the_paper_s_files_have_these_lengths_and_boundaries():
    """Warm-up, boundaries and end of section 5.3 as the trainers get them from the gin files; twice the batch."""
    for name in ("nigt", "sgd", "adam"):
        config = gin_files.load(f"configs/paper/resnet_{name}.gin", []).config
        assert (config.trainer.train_steps, config.trainer.validation_interval) == (112_603, 1252)
        rate = _rate(config.trainer.optimizer_config)
        peak = gin_files.load(f"configs/paper/resnet_{name}.gin", []).eta0
        assert rate(0) == 0 and rate(6255) == pytest.approx(peak * 6255 / 6256, rel=1e-5)
        if name == "sgd":
            for boundary, factor in ((6256, 1), (37_535, 0.1), (75_069, 0.01), (100_092, 0.001)):
                assert rate(boundary) == pytest.approx(peak * factor, rel=1e-5)
                assert rate(boundary - 1) > 1.0001 * rate(boundary) or boundary == 6256
        else:
            for t in (6256, 60_000, 112_602):
                assert rate(t) == pytest.approx(peak * (1 - t / 112_603) ** 2, rel=1e-3)
    config = gin_files.load("configs/paper/resnet_sgd.gin", ["batch_size = 2048"]).config
    assert config.trainer.train_steps == 56_302  # 56,301.3
    assert config.trainer.optimizer_config.warmup.linear.warmup_steps == 3128  # 3,127.8


@pytest.mark.parametrize(
    ("train_steps", "images", "batch"), [(112_603, IMAGES, BATCH), (3852, 55_000, 256), (2568, 55_000, 256)]
)
def test_sgd_of_section_5_3(train_steps, images, batch):
    """Linear warm-up for 5 of 90 epochs to 0.4, then a tenth of it from epochs 30, 60 and 80 on; shorter runs alike."""
    rate = _built(_by_steps(0.4, train_steps, images, batch))
    share = train_steps / first_step(90, images, batch) * images / batch
    warmup_steps, *boundaries = (math.ceil(share * epoch) for epoch in (5, 30, 60, 80))
    for t in [0, 1, warmup_steps // 2, warmup_steps - 1]:
        assert rate(t) == pytest.approx(0.4 * t / warmup_steps, rel=1e-5)
    for t in [warmup_steps, *boundaries, *(b - 1 for b in boundaries), *(b + 1 for b in boundaries), train_steps - 1]:
        assert rate(t) == pytest.approx(0.4 * 0.1 ** sum(t >= b for b in boundaries), rel=1e-5)


def test_a_run_too_short_for_its_boundaries_is_refused():
    with pytest.raises(ValueError, match="too few"):
        _by_steps(0.4, 4, IMAGES, BATCH)
    with pytest.raises(ValueError, match="warmup_steps"):
        _polynomial(0.4, 5, 5, 1.0)


def test_the_schedule_survives_serialization():
    rate = schedules.WarmupPolynomialDecay(0.1, 10, 100, 2.0)
    again = schedules.WarmupPolynomialDecay.from_config(rate.get_config())
    steps = tf.range(0, 101)
    np.testing.assert_array_equal([float(rate(t)) for t in steps], [float(again(t)) for t in steps])
