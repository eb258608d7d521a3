"""The study's verdicts: what an interval holds, Holm's steps over a family, and the word for a difference."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from scripts.study import comparison


def test_the_intervals_hold_what_they_are_said_to():
    """Of 200 pairs of five draws with a difference of 1: Welch's holds it in about 95 %, the bootstrap's in fewer."""
    generator, held = np.random.default_rng(0), {"welch": 0, "bootstrap": 0}
    for _ in range(200):
        pair = [comparison.Sample(tuple(generator.normal(mean, 0.5, 5)), 0, 5) for mean in (1, 0)]
        for name in held:
            low, high = getattr(comparison.Comparison(*pair), name)
            held[name] += low <= 1 <= high
    assert 182 <= held["welch"] <= 198 and 160 <= held["bootstrap"] < held["welch"]
    assert abs(comparison.coverage(5, 5) - held["bootstrap"] / 200) < 0.06
    assert comparison.coverage(5, 3) < comparison.coverage(5, 5) < comparison.coverage(50, 50)
    assert comparison.bootstrap([1.0], [1.0, 2.0]) != comparison.bootstrap([1.0, 2.0])


def _sample(generator, mean=0.0, spread=0.5, n=5):
    return comparison.Sample(tuple(generator.normal(mean, spread, n)), 0, n)


def _judge(family):
    return [comparison.Judged(each, tuple(family)) for each in family]


@hypothesis.given(
    means=st.lists(st.floats(-3, 3), min_size=1, max_size=8),
    bar=st.sampled_from([-comparison.MARGIN, 0.0, comparison.MARGIN]),
    seed=st.integers(0, 1000),
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_a_family_is_tested_by_holm_s_steps(means, bar, seed):
    """Holm's own description: the smallest p against α/m, the next against α/(m − 1), until one is not below."""
    generator = np.random.default_rng(seed)
    family = [comparison.Comparison(_sample(generator, mean), _sample(generator)) for mean in means]
    family.append(comparison.Comparison(_sample(generator), comparison.Sample((), 0, 5)))  # to be run yet: it counts
    rejected = set()
    for place, each in enumerate(sorted(family, key=lambda each: each.p(bar))):
        if each.p(bar) >= comparison.LEVEL / (len(family) - place):
            break
        rejected.add(each)
    for found in _judge(family):
        decided = found.is_above(bar) or found.is_below(bar)
        assert decided == (found.comparison in rejected) and not (found.is_above(bar) and found.is_below(bar))


def test_a_family_in_which_nothing_differs_is_seldom_said_to():
    """Of 300 families of six: one in twenty, give or take, has a “better” or “worse”; tested one by one, one in four.

    The draws are spread so widely that none can match.
    """
    generator, wrong, alone = np.random.default_rng(0), 0, 0
    for _ in range(300):
        pairs = [comparison.Comparison(*(_sample(generator, spread=5.0) for _ in range(2))) for _ in range(6)]
        wrong += any(found.word in ("better", "worse") for found in _judge(pairs))
        alone += any(found.word in ("better", "worse") for pair in pairs for found in _judge([pair]))
    assert 3 <= wrong <= 27 and alone > 45


@pytest.mark.parametrize(
    ("gap", "spread", "word"),
    [(0, 0.1, "matches"), (0.2, 0.1, "matches"), (2, 0.5, "better"), (-2, 0.5, "worse"), (0.3, 2.0, "undecided")],
)
def test_the_word_follows_the_margin(gap, spread, word):
    draws = tuple(spread * z for z in (-1.2, -0.4, 0.0, 0.4, 1.2))
    ours, theirs = (comparison.Sample(tuple(70 + shift + d for d in draws), 0, 5) for shift in (gap, 0))
    (found,) = _judge([comparison.Comparison(ours, theirs)])
    low, high = found.comparison.welch
    assert found.word == word and found.comparison.difference == pytest.approx(gap)
    assert (low > 0 or high < 0) == (found.p() < comparison.LEVEL)  # alone, the interval and the test say the same


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        ((70, 71, 72), (60, 61, 62), "better"),
        ((70, 71), (60, 61, 62), "not run"),  # a seed is missing
        ((70, 71, None), (60, 61, 62), "undecided"),
        ((70, 71, 72), (None, None, None), "better"),
        ((None, None, None), (60, 61, 62), "worse"),
        ((None, None, None), (None, 61, 62), "undecided"),
    ],
)
def test_a_verdict_waits_for_every_seed_and_does_not_forget_what_diverged(ours, theirs, word):
    """None: a run that diverged."""
    samples = (
        comparison.Sample(tuple(v for v in side if v is not None), side.count(None), 3) for side in (ours, theirs)
    )
    (found,) = _judge([comparison.Comparison(*samples)])
    assert found.word == word
    assert ("diverged" in found.comparison.text) == (None in ours + theirs)
