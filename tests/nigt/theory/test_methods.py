"""Each method against a transcription of its printed lines, one replicate at a time; and Lemma 2 along any path."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nigt.theory import bounds, methods, problems, runs, tuning

STEPS, REPLICATES, BOUND = 40, 3, 5.0


def _unit(vector):
    return vector / np.linalg.norm(vector)


def _nsgd(g, w, eta, alpha):
    """w_{t+1} = w_t − η·∇f/‖∇f‖."""
    for t in range(STEPS):
        w = w - eta * _unit(g(w, t))
        yield w


def _nsgdm(g, w, eta, alpha):
    """Equations (2) and (3) with m_1 = ∇f(w_1, ξ_1)."""
    m = 0 * w
    for t in range(STEPS):
        m = g(w, t) if t == 0 else (1 - alpha) * m + alpha * g(w, t)
        w = w - eta * _unit(m)
        yield w


def _nigt(g, w, eta, alpha):
    """Algorithm 1."""
    m, beta = g(w, 0), 1 - alpha
    old, w = w, w - eta * _unit(m)
    yield w
    for t in range(1, STEPS):
        x = w + beta / (1 - beta) * (w - old)
        m = beta * m + (1 - beta) * g(x, t)
        old, w = w, w - eta * _unit(m)
        yield w


def _sgd(g, w, eta, alpha):
    for t in range(STEPS):
        w = w - eta * g(w, t)
        yield w


def _igt(g, w, eta, alpha):
    """Section 1's display, t from 0; the w before the first is the first."""
    m, old = 0 * w, w
    for t in range(STEPS):
        m = t / (t + 1) * m + 1 / (t + 1) * g(w + t * (w - old), t)
        old, w = w, w - eta * m
        yield w


def _algorithm2(constant):
    def run(g, w, eta, alpha):
        c = np.sqrt(7 / (constant * BOUND ** (6 / 7)))
        d = c ** (-14 / 3)
        m, old, before, now, rate = 0 * w, w, d, 3 * BOUND**2 + d, c / d ** (2 / 7)
        for t in range(1, STEPS + 1):
            a = 1 / (t * rate**2 * before)
            rate = c / (now**2 * (t + 1) ** 3) ** (1 / 7)
            x = w + (1 - a) / a * (w - old)
            first, second = g(x, 2 * t - 2), g(x, 2 * t - 1)
            m = (1 - a) * m + a * first
            before, now = now, now + np.sum((first - second) ** 2) + BOUND**2 * ((t + 1) ** 0.25 - t**0.25)
            old, w = w, w - rate * _unit(m)
            yield w

    return run


def _storm(g, w, eta, alpha):
    """Algorithm 1 of Cutkosky & Orabona (2019), L = 1 and b = 1."""
    k = BOUND ** (2 / 3)
    c = 28 + 1 / 7
    total = BOUND**2 * max(4.0**3, 2.0, (28 + 1 / 7) ** 3 / 64)
    d, old, a = 0 * w, w, 1.0
    for t in range(STEPS):
        fresh = g(w, t)
        d = fresh + (1 - a) * (d - g(old, t))  # d_1 = ∇f(w_1, ξ_1), as a_1 = 1
        total += np.sum(fresh**2)
        rate = k / total ** (1 / 3)
        a = c * rate**2
        old, w = w, w - rate * d
        yield w


PRINTED = {
    "nsgd": _nsgd, "nsgdm": _nsgdm, "nigt": _nigt, "sgd": _sgd, "igt": _igt, "storm": _storm,
    "adaptive": _algorithm2(26), "adaptive_corrected": _algorithm2(52),
}  # fmt: skip


@pytest.mark.parametrize("noise", ["gaussian", "skewed"])
@pytest.mark.parametrize("name", PRINTED)
def test_a_method_is_its_printed_lines(name, noise):
    oracle = problems.oracle("cos", noise, 2.0)
    samples = oracle.draw(np.random.default_rng(0), 2 * STEPS, REPLICATES)
    start = oracle.objective.start + 0.1 * np.arange(REPLICATES)[:, np.newaxis]
    bounded = name in ("adaptive", "adaptive_corrected", "storm")
    method = methods.make(name, oracle, 10_000, start, gradient_bound=BOUND if bounded else None)
    draws = iter(samples)
    ours = []
    for _ in range(STEPS):
        method.step(lambda: next(draws))
        ours.append(method.w)
    choose = bounds.theorem3_choice if name == "nigt" else bounds.theorem1_choice
    choice = choose(methods.constants_of(oracle), 10_000)
    eta = None if bounded else methods.default_rate(name, oracle, 10_000)
    for replicate in range(REPLICATES):

        def gradient(point, t, replicate=replicate):
            return np.sin(point) + samples[t, replicate]

        printed = list(PRINTED[name](gradient, start[replicate], eta, choice.alpha))
        np.testing.assert_allclose([w[replicate] for w in ours], printed, rtol=1e-10, atol=1e-12)


def test_the_settings_are_the_theorems():
    constants = bounds.Constants(smoothness=2.0, gap=3.0, sigma=4.0, rho=5.0)
    one, three = bounds.theorem1_choice(constants, 700), bounds.theorem3_choice(constants, 700)
    alpha = min(np.sqrt(3 * 2) / (4 * np.sqrt(700)), 1)
    assert (one.alpha, one.rate) == pytest.approx((alpha, np.sqrt(3 * alpha) / np.sqrt(700 * 2)))
    assert three.rate == pytest.approx(min((3 / 700) ** (5 / 7) / (5 ** (1 / 7) * 4 ** (4 / 7)), np.sqrt(3 / 1400)))
    assert three.alpha == pytest.approx((3 / 700) ** (4 / 7) * 5 ** (2 / 7) / 4 ** (6 / 7))


@pytest.mark.parametrize("choose", [bounds.theorem1_choice, bounds.theorem3_choice])
def test_little_noise_needs_no_momentum(choose):
    """σ = 0 divides by zero as printed; its limit is α = 1 and η = √(R/(TL)) (erratum 4)."""
    for sigma in (0.0, 1e-9):
        choice = choose(bounds.Constants(2.0, 3.0, sigma, 1.0), 50)
        assert (choice.alpha, choice.rate) == pytest.approx((1, np.sqrt(3 / 100)))


def test_e4_rho_and_the_gap_have_to_be_positive_and_any_upper_bound_serves():
    """ρ → 0 makes Theorem 3's α vanish, by which x_t is divided; R = 0 is no step at all (erratum 4)."""
    with pytest.raises(ValueError, match="rho: 0"):
        bounds.theorem3_choice(bounds.Constants(2.0, 3.0, 4.0, 0.0), 700)
    with pytest.raises(ValueError, match="gap: 0"):
        bounds.Constants(2.0, 0.0, 4.0, 5.0)
    alphas = [bounds.theorem3_choice(bounds.Constants(2.0, 3.0, 4.0, rho), 700).alpha for rho in (1e-3, 1e-9, 1e-15)]
    assert sorted(alphas, reverse=True) == alphas and alphas[-1] < 1e-5
    small, large = (bounds.theorem3_bound(bounds.Constants(2.0, 3.0, 4.0, rho), 700) for rho in (1e-15, 1e-9))
    assert small > large  # the bound itself is infinite at 0


def _lemma2_holds(objective, start, rates, guess):
    """Steps along −ĝ/‖ĝ‖ and checks the Lemma at every step; returns the sum's terms."""
    w, norms, errors = np.array(start), [], []
    for rate in rates:
        gradient = objective.gradient(w)
        direction = guess(gradient)
        size = np.linalg.norm(direction)
        following = w - rate * direction / size if size > 0 else w
        norm, error = np.linalg.norm(gradient), np.linalg.norm(direction - gradient)
        change = objective.value(following) - objective.value(w)
        assert change <= bounds.lemma2_step(norm, error, rate, objective.smoothness) + 1e-9
        # The remark in docs/errata.md: 1 and 2 do in place of 1/3 and 8/3.
        assert change <= -rate * norm + 2 * rate * error + objective.smoothness * rate**2 / 2 + 1e-9
        w = following
        norms.append(norm)
        errors.append(error)
    return norms, errors


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from(["cos", "gm", "cosill", "robust"]),
    seed=st.integers(0, 2**31 - 1),
    kind=st.sampled_from(["random", "opposite", "aligned", "zero", "tiny", "orthogonal"]),
    constant=st.booleans(),
    size=st.floats(1e-3, 5.0),
)
def test_lemma_2_holds_at_every_step_for_any_direction(name, seed, kind, constant, size):
    random, objective = np.random.default_rng(seed), problems.objective(name)

    def guess(gradient):
        noise = random.normal(size=gradient.size) * size * np.exp(random.normal())
        orthogonal = noise - noise @ gradient * gradient / max(gradient @ gradient, 1e-300)
        return {
            "random": gradient + noise,
            "opposite": -gradient,
            "aligned": gradient * (1 + size),
            "zero": 0 * gradient,
            "tiny": 1e-9 * noise,
            "orthogonal": orthogonal,
        }[kind]

    rates = np.full(20, size / 3) if constant else size * random.random(20)
    start = random.normal(size=objective.dim) * 2
    norms, errors = _lemma2_holds(objective, start, rates, guess)
    if constant:
        limit = bounds.lemma2_sum(
            float(objective.value(start)), rates[0], objective.smoothness, sum(errors), len(rates)
        )
        assert sum(norms) <= limit + 1e-9


def test_lemma_2s_sum_is_its_steps_added_up():
    gap, rate, smoothness, errors = 2.0, 0.3, 1.7, np.array([0.1, 0.5, 0.2, 0.9])
    steps = [bounds.lemma2_step(0.0, error, rate, smoothness) for error in errors]
    total = bounds.lemma2_sum(gap, rate, smoothness, errors.sum(), len(errors))
    assert total == pytest.approx(3 / rate * (gap + sum(steps)), rel=1e-12)


def test_lemma_2_with_smaller_constants_is_false():
    """So that the test above can fail: 8/3 may become 2, but not with 1 + ε on ‖∇F‖ at the same time."""
    objective = problems.objective("cos")
    w, rate = objective.start, 1e-6
    gradient = objective.gradient(w)
    change = objective.value(w - rate * _unit(gradient)) - objective.value(w)
    assert change > -1.01 * rate * np.linalg.norm(gradient) + objective.smoothness * rate**2 / 2


def test_a_run_averages_the_true_gradient_over_all_iterates_before_the_step():
    oracle = problems.oracle("cos", "gaussian", 1.0)
    start = np.tile(oracle.objective.start, (4, 1))
    trace = runs.run(methods.make("sgd", oracle, 9, start), oracle, np.random.default_rng(1), 9, marks=(1, 5))
    method, norms = methods.make("sgd", oracle, 9, start), []
    draw = runs.sampler(oracle, np.random.default_rng(1), 4)
    for _ in range(9):
        norms.append(np.linalg.norm(np.sin(method.w), axis=1))
        method.step(draw)
    assert trace.marks == (1, 5, 9)
    np.testing.assert_allclose(trace.mean_norm, [np.mean(norms[:t], axis=0) for t in trace.marks])
    np.testing.assert_allclose(trace.norm, [norms[t - 1] for t in trace.marks])
    assert np.ptp(trace.norm[-1]) > 0
    np.testing.assert_allclose(runs.mean_and_error(np.array([1.0, 2.0, 6.0])), (3, np.sqrt(7 / 3)))


def test_tuning_finds_the_best_of_the_grid_and_measures_it_afresh():
    oracle = problems.oracle("cos", "gaussian", 2.0)
    point, trace = tuning.tuned("sgd", oracle, [3], 400, 16, 8)
    factor = point.factor
    assert not point.at_edge and point.alpha is None and trace.norm.shape == (1, 16)
    means = {}
    for other in tuning.FACTORS:
        rate = other * methods.default_rate("sgd", oracle, 400)
        method = methods.make("sgd", oracle, 400, np.tile(oracle.objective.start, (64, 1)), rate)
        means[other] = runs.run(method, oracle, np.random.default_rng(9), 400).mean_norm[-1].mean()
    assert means[factor] <= 1.05 * min(means.values()) and trace.mean_norm.mean() == pytest.approx(
        means[factor], rel=0.1
    )
    assert max(means.values()) > 1.5 * means[factor]


def test_with_momentum_alpha_is_tuned_too_and_1_is_no_momentum():
    """Each point, run alone, is what it was in the grid; with α = 1 it is normalized SGD's, step by step."""
    oracle = problems.oracle("cosill", "gaussian", 1.0)
    assert len(tuning.grid("nigt")) == len(tuning.FACTORS) * len(tuning.ALPHAS) and len(tuning.grid("nsgd")) == 8
    point, _ = tuning.tuned("nigt", oracle, [1], 300, 4, 16)
    means = {}
    for other in tuning.grid("nigt"):
        start = np.tile(oracle.objective.start, (64, 1))
        rate = other.rate("nigt", oracle, 300)
        method = methods.make("nigt", oracle, 300, start, rate, alpha=other.alpha)
        means[other] = runs.run(method, oracle, np.random.default_rng(7), 300).mean_norm[-1].mean()
        if other.alpha == 1:
            plain = methods.make("nsgd", oracle, 300, start, tuning.Point(other.factor, None).rate("nsgd", oracle, 300))
            assert means[other] == runs.run(plain, oracle, np.random.default_rng(7), 300).mean_norm[-1].mean()
    assert means[point] <= 1.03 * min(means.values()) < means[min(means, key=lambda p: p.alpha)]


def test_settings_can_be_anothers():
    """Told of σ = 4, the method that meets σ = 1 steps as one with the η and α of σ = 4."""
    quiet, loud = (problems.oracle("cos", "gaussian", sigma) for sigma in (1.0, 4.0))
    start = np.tile(quiet.objective.start, (2, 1))
    choice = bounds.theorem3_choice(methods.constants_of(loud), 50)
    told = methods.make("nigt", quiet, 50, start, told=loud)
    same = methods.make("nigt", quiet, 50, start, choice.rate, alpha=choice.alpha)
    ends = [runs.run(method, quiet, np.random.default_rng(0), 50).norm for method in (told, same)]
    np.testing.assert_array_equal(*ends)
    assert told.rate == choice.rate < methods.default_rate("nigt", quiet, 50)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda o, w: methods.make("adam", o, 10, w), "method: unknown adam"),
        (lambda o, w: methods.make("storm", o, 10, w), "gradient_bound: storm"),
        (lambda o, w: methods.make("adaptive", o, 10, w, rate=0.1, gradient_bound=1.0), "gradient_bound: adaptive"),
        (lambda o, w: methods.make("sgd", o, 10, w, alpha=0.1), "alpha: sgd takes none; choose nsgdm or nigt"),
        (lambda o, w: methods.default_rate("storm", o, 10), "method: storm sets its own"),
        (lambda o, w: bounds.theorem3_choice(bounds.Constants(1, 1, 1, 0), 10), "rho: 0"),
        (lambda o, w: bounds.Constants(0, 1, 1, 1), "smoothness: 0"),
        (lambda o, w: bounds.Constants(1, 1, -1, 1), "sigma: -1"),
        (lambda o, w: runs.run(methods.make("sgd", o, 5, w), o, np.random.default_rng(0), 5, (6,)), r"marks: \[5, 6\]"),
    ],
)
def test_bad_input_is_refused_by_field(call, field):
    oracle = problems.oracle("cos", "gaussian", 1.0)
    with pytest.raises(ValueError, match=field):
        call(oracle, np.tile(oracle.objective.start, (2, 1)))
