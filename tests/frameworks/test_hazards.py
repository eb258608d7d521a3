"""The hazards of docs/hazards.md that do not depend on the framework, in each."""

import numpy as np
import pytest

from tests.frameworks.forms import FORMS, KERAS, run

pytestmark = pytest.mark.filterwarnings("ignore:NIGT")
every_form = pytest.mark.parametrize("form", FORMS)
VARIANTS = [{}, {"normalization": "global"}, {"normalization": "none"}]


def _same(a, b):
    return all(np.array_equal(u, v) and np.array_equal(np.signbit(u), np.signbit(v)) for u, v in zip(a, b, strict=True))


@every_form
@pytest.mark.parametrize("bad", [np.nan] if KERAS else [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1])  # a normalized variable, an excluded one
@pytest.mark.parametrize("arguments", VARIANTS, ids=str)
def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted(form, bad, place, arguments):
    starts = [np.array([[1.0, -0.0, 3, 4]]), np.array([-0.0, 2])]
    good = [np.array([[1.0, 0, 3, 4]]), np.array([0.0, 1])]
    poisoned = [g.copy() for g in good]
    poisoned[place].flat[-1] = bad
    given = {"excluded": [False, True], "dtype": "float32", "excluded_learning_rate_multiplier": 3.0} | arguments
    with_it = run(form, starts, [good, poisoned, poisoned, good], [0.01] * 4, **given)
    without = run(form, starts, [good, good], [0.01] * 2, **given)
    assert [point.skipped for point in with_it] == [0, 1, 2, 2]
    for point in with_it[1:3]:
        assert _same(point.x, with_it[0].x) and _same(point.w, with_it[0].w)
    assert _same(with_it[-1].x, without[-1].x) and _same(with_it[-1].w, without[-1].w)


@pytest.mark.skipif(KERAS is not None, reason="Algorithm 2 is not there")
@every_form
def test_a_second_gradient_that_is_not_finite_changes_nothing_and_is_counted(form):
    good, bad = [np.ones((1, 3))], [np.array([[1, np.nan, 1]])]
    options = {"adaptive": "algorithm2", "gradient_bound": 1.0}
    points = run(form, [np.ones((1, 3))], [good] * 3, [1.0] * 3, second=[good, bad, good], **options)
    assert [point.skipped for point in points] == [0, 1, 1] and _same(points[0].x, points[1].x)
    expected = run(form, [np.ones((1, 3))], [good] * 2, [1.0] * 2, second=[good, good], **options)
    assert _same(points[-1].x, expected[-1].x)


@every_form
@pytest.mark.parametrize("size", [1e-30, 1e25] if KERAS else [1e-34, 1e-30, 1e-22, 1e10, 1e25, 1e37])
def test_norms_do_not_under_or_overflow_float32(form, size):
    one, large = np.ones((2, 2)), np.full((2, 2), size)
    (point,) = run(form, [one], [[large]], [0.1], dtype="float32", implicit_gradient_transport=False)
    np.testing.assert_allclose(point.x[0], 0.9, rtol=1e-5)
    if 1e-31 < size < 1e36:
        points = run(form, [large], [[one]] * 2, [0.1] * 2, dtype="float32", implicit_gradient_transport=False)
        np.testing.assert_allclose([p.x[0] / size for p in points], [0.9 * one, 0.81 * one], rtol=1e-5)


@every_form
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_zero_gradient_moves_on_along_m_unless_it_is_skipped(form, skip, decay):
    start, gradient, zero = np.ones((1, 3)), np.array([[1.0, 2, 3]]), np.zeros((1, 3))
    steps = [[gradient, gradient], [zero, gradient], [gradient, gradient]]
    points = run(form, [start] * 2, steps, [0.01] * 3, skip_zero_gradient=skip, weight_decay=decay)
    assert _same(points[0].x[:1], points[1].x[:1]) == skip
    assert not _same(points[0].x[1:], points[1].x[1:]) and points[-1].skipped == 0


@every_form
@pytest.mark.parametrize("arguments", VARIANTS, ids=str)
def test_zero_gradients_from_the_start_or_until_m_has_decayed_to_nothing_do_no_harm(form, arguments):
    """On the way ‖x‖/‖m‖ overflows float32."""
    zero, one = [np.zeros((2, 2))], [np.ones((2, 2))]
    steps = [zero] * 3 + [one] + [zero] * 160 + [one]
    given = {"dtype": "float32", "beta": 0.5} | arguments
    points = run(form, [np.full((2, 2), 100.0)], steps, [1e-4] * len(steps), **given)
    assert np.all(points[2].x[0] == 100) and points[-1].skipped == 0
    assert all(np.all(np.isfinite(point.x[0])) and np.all(np.isfinite(point.w[0])) for point in points)
    assert np.all(points[-1].x[0] < points[-2].x[0])


@every_form
def test_weights_that_start_at_zero_are_freed_by_a_floor(form):
    def distance(**options):
        given = {"implicit_gradient_transport": False} | options
        return np.linalg.norm(run(form, [np.zeros((2, 2))], [[np.ones((2, 2))]] * 50, [0.01] * 50, **given)[-1].w[0])

    assert distance() < 0.03 and distance(weight_norm_floor=1.0) > 0.45
