"""Section 2's walk and Arnold et al.'s transport, against what can be computed exactly."""

import itertools

import numpy as np
import pytest

from nigt.theory import drift, methods, problems, runs, transport


def _exact_drift(rare, beta, terms):
    """E[sign Σ_k β^k·g_k] over all 2^terms gradients, by the oldest being forgotten."""
    total = 0.0
    for signs in itertools.product((False, True), repeat=terms):
        gradients = np.where(signs, rare - 1, rare)
        probability = np.prod(np.where(signs, rare, 1 - rare))
        total += probability * np.sign(gradients @ beta ** np.arange(terms))
    return total


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.6])
def test_the_drift_is_the_mean_sign_of_the_momentum(beta):
    """For such β, 14 gradients decide the sign, but for a share of less than 1e-3."""
    value, error = drift.measured(0.25, beta, np.random.default_rng(0), 300, 2000)
    assert 0 < error < 2e-3
    assert value == pytest.approx(_exact_drift(0.25, beta, 14 if beta else 1), abs=4 * error + 1e-3)


def test_the_prediction_is_1_minus_2p_and_then_the_skewness_and_shrinks_like_the_root():
    assert drift.predicted(0.1, 0.0) == pytest.approx(0.8)
    assert drift.predicted(0.25, 0.99) == pytest.approx(0.014513, abs=1e-6)
    ratio = drift.predicted(0.25, 1 - 1e-6) / drift.predicted(0.25, 1 - 1e-4)
    assert ratio == pytest.approx(0.1, rel=1e-3)  # √(1e-6/1e-4)
    random = np.random.default_rng(1)
    weights = 0.9 ** np.arange(200) * 0.1  # the formula's skewness against the sum's own third moment
    gradients = np.where(random.random((40_000, 200)) < 0.25, -0.75, 0.25) @ weights
    skewness = np.mean(gradients**3) / np.mean(gradients**2) ** 1.5
    assert drift.predicted(0.25, 0.9) == pytest.approx(-skewness / (3 * np.sqrt(2 * np.pi)), rel=0.05)


def test_the_control_variate_keeps_the_mean_and_shrinks_the_error():
    plain = [drift.measured(0.25, 0.9, np.random.default_rng(seed), 400, 400) for seed in range(12)]
    values, errors = np.array(plain).T
    assert abs(values.mean() - 0.0470) < 4 * values.std(ddof=1) / np.sqrt(12)
    assert 0.6 < values.std(ddof=1) / errors.mean() < 1.6  # the stated error is the one over seeds
    # without it: √(Σ of the sign's autocorrelations/(n·T))
    lags = (2 / np.pi) * np.arcsin(0.9 ** np.arange(1, 300))
    assert errors.mean() < 0.6 * np.sqrt((1 + 2 * lags.sum()) / (400 * 400))


@pytest.mark.parametrize("batch", [1, 16, 20])
def test_where_batches_rest_is_predicted_for_every_step_size(batch):
    """Against the method itself, from where it rests on; and for η → 0 against the floor."""
    source, rate = problems.oracle("cos", "skewed", 2.0, batch=batch, start_scale=1e-9), 0.02
    method = methods.make("nsgd", source, 3000, np.tile(source.objective.start, (200, 1)), rate)
    means = runs.run(method, source, np.random.default_rng(2), 6000, (3000,)).mean_norm
    value, error = runs.mean_and_error(2 * means[1] - means[0])  # of the second half
    assert drift.resting(source, rate) == pytest.approx(value, abs=4 * error + 0.02 * value)
    assert drift.resting(source, 1e-5) == pytest.approx(source.plateau, abs=2e-3)


def test_transport_is_exact_on_a_quadratic_with_the_repaired_schedule_alone():
    function, random = transport.quadratic(), np.random.default_rng
    exact = transport.errors(function, 1.0, random(0), 40, 2000)
    assert exact.pathwise < 1e-12
    np.testing.assert_allclose(exact.square * np.arange(1, 41), 1, atol=0.06)
    printed = transport.errors(function, 1.0, random(0), 40, 2000, as_printed=True)
    assert printed.pathwise > 0.1
    t = np.arange(1, 41)
    np.testing.assert_allclose(printed.square * (t + 1) ** 2 / (t + 3), 1, atol=0.06)
    assert printed.square[1] > 1.05 * exact.square[1]
    still = transport.errors(function, 1.0, random(0), 40, 2000, transport=False)
    assert still.pathwise > 0.1 and still.bias[20] > 10 * still.bias_error[20]


def test_transport_is_biased_off_a_quadratic():
    moved = transport.errors(transport.cosines(), 2.0, np.random.default_rng(2), 11, 4000)
    still = transport.errors(transport.cosines(), 2.0, np.random.default_rng(2), 11, 4000, transport=False)
    assert moved.bias[0] < 5 * moved.bias_error[0] * np.sqrt(10)  # the first momentum is one gradient: no bias
    assert 10 * moved.bias_error[10] < moved.bias[10] < still.bias[10] - 10 * still.bias_error[10]
