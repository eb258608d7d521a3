"""What a bundle's program draws: the rule of data/masking.py, and every sequence once an epoch."""

import numpy as np
import pytest

from data import masking
from data.vocabulary import MASK
from scripts.exported import bundle
from tests.scripts.exported.bundles import BATCH, PREDICTIONS, TRAIN, VOCABULARY

EPOCHS = 12
STEPS_AN_EPOCH = TRAIN // BATCH  # four sequences are left over


@pytest.fixture(scope="module")
def drawn(small, drive):
    """The batches of twelve epochs: arrays by name, (epoch, example, …)."""
    found = drive(small, "batches", 0, EPOCHS * STEPS_AN_EPOCH)
    return {name: array.reshape(EPOCHS, STEPS_AN_EPOCH * BATCH, -1) for name, array in found.items()}


def _masked(drawn) -> masking.Masked:
    names = ("input_word_ids", "input_mask", "masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
    return masking.Masked(*(drawn[name].reshape(-1, drawn[name].shape[-1]) for name in names))


def _rows(array) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(array)]


def test_every_sequence_comes_once_an_epoch_in_another_order(drawn, small):
    tokens = bundle.Bundle(small).arrays("train")["tokens"].astype(np.int32)
    available = {row: _rows(tokens).count(row) for row in _rows(tokens)}
    orders = []
    sequences = masking.unmask(_masked(drawn)).reshape(EPOCHS, STEPS_AN_EPOCH * BATCH, -1)
    for epoch in sequences:
        rows = _rows(epoch)
        assert all(rows.count(row) <= available[row] for row in rows)
        orders.append(rows)
    assert all(first != second for first, second in zip(orders, orders[1:], strict=False))
    assert len({frozenset(order) for order in orders}) > 1  # the remainder is another one


def test_as_many_are_masked_as_by_the_rule(drawn):
    masked = _masked(drawn)
    sequences = masking.unmask(masked)
    by_rule = masking.mask(sequences, VOCABULARY, PREDICTIONS, np.random.default_rng(0))
    np.testing.assert_array_equal(masked.weights, by_rule.weights)
    np.testing.assert_array_equal(masked.mask, by_rule.mask)


def test_what_is_masked_is_ordinary_and_in_ascending_places(drawn):
    masked = _masked(drawn)
    real = masked.weights > 0
    assert (masked.target_ids[real] > MASK).all() and (masked.target_ids[~real] == 0).all()
    assert (masked.positions[~real] == 0).all()
    steps = np.diff(masked.positions, axis=1)
    assert (steps[real[:, 1:]] > 0).all()


def test_the_shares_are_80_10_10_and_every_place_is_as_likely(drawn):
    masked = _masked(drawn)
    real = masked.weights > 0
    now = np.take_along_axis(masked.word_ids, masked.positions, axis=1)[real]
    was, count = masked.target_ids[real], real.sum()
    kept = 0.1 + 0.1 / (VOCABULARY - 5)  # a random token may be the same one
    for found, share in (((now == MASK).mean(), 0.8), ((now == was).mean(), kept)):
        assert abs(found - share) < 5 * np.sqrt(share * (1 - share) / count)
    assert now.min() >= MASK and now.max() < VOCABULARY
    full = (masked.mask.sum(axis=1) == masked.mask.shape[1])[:, None] & real
    places = np.bincount(masked.positions[full], minlength=masked.mask.shape[1])
    ordinary = places[1:-1]
    assert places[0] == places[-1] == 0
    assert (abs(ordinary - ordinary.mean()) < 5 * np.sqrt(ordinary.mean())).all()


def test_a_sequence_is_masked_afresh_each_time(drawn):
    masked = _masked(drawn)
    counts = masked.weights.sum(axis=1)
    longest = counts == counts.max()
    shown = {}
    for sequence, places in zip(_rows(masking.unmask(masked)[longest]), _rows(masked.positions[longest]), strict=True):
        shown.setdefault(sequence, []).append(places)
    assert np.mean([len(set(places)) / len(places) for places in shown.values()]) > 0.5
