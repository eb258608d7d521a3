"""The objectives' L, ρ, gradients and bounds, and the noise's mean and variance, against the definitions."""

import numpy as np
import pytest

from nigt.theory import problems
from nigt.theory.objectives import Cosines, Quadratic, RobustRegression
from nigt.theory.oracles import FiniteSum, Gaussian, Skewed
from nigt.theory.runs import sampler
from nigt.theory.transport import quadratic

FUNCTIONS = {name: problems.objective(name) for name in ("cos", "gm", "cosill", "robust", "cos_equal")}
FUNCTIONS["quadratic"] = quadratic()
FUNCTIONS["cos_equal, d = 3"] = problems.objective("cos_equal", 3)
every = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def _pairs(function, count):
    """Points far apart and close together, around where the curvature is largest."""
    random = np.random.default_rng(0)
    first = random.normal(size=(count, function.dim)) * 10 ** random.uniform(-2, 1, (count, 1))
    apart = random.normal(size=(count, function.dim))
    # Along single coordinates, too: the worst pairs of a separable F lie there.
    apart[: count // 2] = np.eye(function.dim)[random.integers(function.dim, size=count // 2)]
    return first, first + apart * 10 ** random.uniform(-4, 0.5, (count, 1))


@every
def test_no_pair_exceeds_l_and_some_pair_comes_close(function):
    first, second = _pairs(function, 40_000)
    change = np.linalg.norm(function.gradient(first) - function.gradient(second), axis=1)
    ratio = change / np.linalg.norm(first - second, axis=1) / function.smoothness
    assert ratio.max() <= 1 + 1e-9
    if function.name != "robust":  # whose L is the worst example's everywhere at once
        assert ratio.max() > 0.9


@every
def test_no_pair_exceeds_rho_and_some_pair_comes_close(function):
    first, second = _pairs(function, 4000)
    if function.name in ("cos", "cosill", "gm"):  # where the third derivative is largest: π/2, and √(1 − 2/√5)
        worst = np.sqrt(1 - 2 / np.sqrt(5)) if function.name == "gm" else np.pi / 2
        first[:200] = worst * (np.arange(function.dim) == 0)
        second[:200] = first[:200] + 1e-3 * (np.arange(function.dim) == 0)
    change = [np.linalg.norm(function.hessian(a) - function.hessian(b), 2) for a, b in zip(first, second, strict=True)]
    ratio = np.array(change) / np.linalg.norm(first - second, axis=1)
    assert ratio.max() <= function.rho * (1 + 1e-6) + 1e-12
    if function.name in ("cos", "cosill", "gm"):
        assert ratio.max() > 0.99 * function.rho


@every
def test_gradient_and_hessian_are_the_differences_of_the_value(function):
    random, step = np.random.default_rng(1), 1e-5
    for point in (function.start, *random.normal(size=(3, function.dim))):
        moved = step * np.eye(function.dim)
        slope = (function.value(point + moved) - function.value(point - moved)) / (2 * step)
        np.testing.assert_allclose(function.gradient(point), slope, atol=1e-8)
        curvature = (function.gradient(point + moved) - function.gradient(point - moved)) / (2 * step)
        np.testing.assert_allclose(function.hessian(point), curvature, atol=1e-8)


@every
def test_replicates_are_evaluated_one_by_one_and_f_is_never_negative(function):
    points = np.random.default_rng(2).normal(size=(7, function.dim)) * 5
    np.testing.assert_allclose(function.gradient(points), [function.gradient(point) for point in points], rtol=1e-12)
    np.testing.assert_allclose(function.value(points), [function.value(point) for point in points], rtol=1e-12)
    assert np.all(function.value(points) >= 0)
    assert np.linalg.norm(function.gradient(points), axis=1).max() <= function.gradient_bound


def test_the_gradient_bounds_are_reached_where_every_coordinate_is_steepest():
    for name, steepest in (("cos", np.pi / 2), ("cosill", np.pi / 2), ("gm", 1 / np.sqrt(3))):
        function = FUNCTIONS[name]
        norm = np.linalg.norm(function.gradient(np.full(function.dim, steepest)))
        assert norm == pytest.approx(function.gradient_bound, rel=1e-12)
    robust = FUNCTIONS["robust"]  # every example alone, at the point along it where its residual is 1/√3
    lengths = np.linalg.norm(robust.rows, axis=1)
    points = robust.rows * ((robust.targets + 1 / np.sqrt(3)) / lengths**2)[:, np.newaxis]
    norms = np.linalg.norm(robust.example_gradient(points, np.arange(len(points))[:, np.newaxis]), axis=1)
    assert norms.max() == pytest.approx(robust.gradient_bound, rel=1e-12)
    assert np.sqrt(np.mean(norms**2)) == pytest.approx(robust.sample_sigma, rel=1e-12)


def test_the_starts_are_the_stated_ones():
    gaps = {name: FUNCTIONS[name].gap for name in ("cos", "gm", "cosill", "cos_equal", "cos_equal, d = 3")}
    assert gaps == pytest.approx(
        {"cos": 13.694508, "gm": 6.764020, "cosill": 3.433710, "cos_equal": 1, "cos_equal, d = 3": 1}, rel=1e-6
    )
    assert (FUNCTIONS["gm"].smoothness, FUNCTIONS["gm"].rho) == pytest.approx((2, 4.669), rel=1e-4)
    for name, low, high in (("cos", 1.5, 2.6), ("gm", 1, 2), ("cosill", 1.5, 2.6)):
        assert np.all((abs(FUNCTIONS[name].start) >= low) & (abs(FUNCTIONS[name].start) <= high))


ORACLES = {
    "gaussian": Gaussian(FUNCTIONS["cos"], 2.0),
    "gaussian, batch 4": Gaussian(FUNCTIONS["gm"], 2.0, batch=4),
    "skewed": Skewed(FUNCTIONS["cos"], 2.0),
    "skewed, batch 8": Skewed(FUNCTIONS["cos"], 2.0, batch=8),
    "skewed, one dimension": Skewed(Quadratic(np.zeros(1), np.zeros((1, 1))), 0.5, rare=0.3),
    "finite sum": FiniteSum(FUNCTIONS["robust"]),
    "finite sum, batch 4": FiniteSum(FUNCTIONS["robust"], batch=4),
}


@pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES)
def test_noise_has_mean_zero_and_variance_at_most_sigma_squared(oracle):
    """Within 5 standard errors, n = 60,000 samples at one point; finite sums have less than their bound."""
    count, point = 60_000, np.random.default_rng(3).normal(size=oracle.objective.dim)
    sample = oracle.draw(np.random.default_rng(4), 1, count)[0]
    noise = oracle.gradient(np.tile(point, (count, 1)), sample) - oracle.objective.gradient(point)
    spread = noise.std(axis=0) / np.sqrt(count)
    assert np.all(np.abs(noise.mean(axis=0)) <= 5 * spread + 1e-12)
    squares = np.sum(noise**2, axis=1)
    error = squares.std() / np.sqrt(count)
    if oracle.noise == "finite_sum":
        assert 0.1 * oracle.sigma**2 < squares.mean() <= oracle.sigma**2 + 5 * error
    else:
        assert abs(squares.mean() - oracle.sigma**2) <= 5 * error + 1e-12


def test_skewed_noise_is_rare_large_and_bounded():
    oracle = ORACLES["skewed"]
    sample = oracle.draw(np.random.default_rng(5), 1000, 50) * np.sqrt(oracle.objective.dim)  # along u
    common, rare = oracle.plateau, -2.0 * np.sqrt(0.9 / 0.1)
    assert common == pytest.approx(2 / 3) and set(np.unique(sample.round(12))) == {round(common, 12), round(rare, 12)}
    assert np.mean(sample < 0) == pytest.approx(0.1, abs=5 * np.sqrt(0.09 / 50_000))


def test_a_batch_s_floor_is_where_its_sign_is_as_often_up_as_down():
    """c·|median − B·p|/B, by hand; 0 where B·p is an integer; at most c·ln 2/B."""
    floors = {b: problems.oracle("cos", "skewed", 2.0, batch=b).plateau for b in (1, 4, 16, 20, 64, 256)}
    for batch, distance in {1: 0.1, 4: 0.4, 16: 0.6, 20: 0.0, 64: 0.4, 256: 0.6}.items():
        assert floors[batch] == pytest.approx(2 / 0.3 * distance / batch, abs=1e-12)
        assert floors[batch] <= 2 / 0.3 * np.log(2) / batch
    oracle = problems.oracle("cos", "skewed", 2.0, batch=16)
    drawn = oracle.draw(np.random.default_rng(8), 1, 200_000) * np.sqrt(oracle.objective.dim)
    assert np.mean(drawn - 1.01 * oracle.plateau > 0) < 0.5 < np.mean(drawn - 0.99 * oracle.plateau > 0)
    counts = np.round(16 * (0.1 - drawn / oracle.size)).astype(int)
    shares = np.cumsum(np.bincount(counts.ravel(), minlength=17)) / counts.size
    np.testing.assert_allclose(oracle.cumulative, shares, atol=5e-3)


def test_robust_s_sigma_is_a_bound_that_is_not_reached_at_its_start():
    oracle = ORACLES["finite sum"]
    point = oracle.objective.start + 0.3
    sample = oracle.draw(np.random.default_rng(9), 1, 40_000)[0]
    noise = oracle.gradient(np.tile(point, (40_000, 1)), sample) - oracle.objective.gradient(point)
    assert oracle.objective.sigma_at(point) == pytest.approx(np.sqrt(np.mean(np.sum(noise**2, axis=1))), rel=0.02)
    assert oracle.objective.sigma_at(oracle.objective.start) < oracle.sigma


def test_a_sampler_draws_what_one_large_draw_draws_and_never_repeats():
    oracle = ORACLES["gaussian"]
    draw = sampler(oracle, np.random.default_rng(6), 3000)
    taken = np.array([draw() for _ in range(20)])  # of several chunks: 200,000 numbers hold 6 of these
    np.testing.assert_array_equal(taken, oracle.draw(np.random.default_rng(6), 21, 3000)[1:])
    assert len(np.unique(taken)) == taken.size


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: problems.objective("rosenbrock"), "objective: unknown rosenbrock"),
        (lambda: problems.objective("gm", 3), "dim: 3"),
        (lambda: problems.oracle("cos", "uniform"), "noise: unknown uniform"),
        (lambda: problems.oracle("cos", "finite_sum"), "noise: cos is not a finite sum"),
        (lambda: Cosines(np.zeros((2, 2))), r"start: of shape \(2, 2\)"),
        (lambda: Cosines(np.zeros(2), np.array([1.0, -1.0])), "weights: "),
        (lambda: Quadratic(np.zeros(2), np.diag([1.0, -1.0])), "matrix: has the eigenvalue -1"),
        (lambda: Quadratic(np.zeros(2), np.ones((3, 3))), "matrix: give a symmetric 2 × 2"),
        (lambda: RobustRegression(np.zeros(2), np.ones((3, 2)), np.ones(4)), "rows, targets: "),
        (lambda: Gaussian(FUNCTIONS["cos"], -1.0), "sigma, batch: -1.0"),
        (lambda: Skewed(FUNCTIONS["cos"], 1.0, rare=0.5), "rare: 0.5"),
    ],
)
def test_bad_input_is_refused_by_field(make, field):
    with pytest.raises(ValueError, match=field):
        make()
