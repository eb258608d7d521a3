"""The records of the paper's text beside those of the official create_pretraining_data.py; next-sentence pairs."""

import collections
import random

import numpy as np
import pytest
import tensorflow as tf
from official.nlp.tools import tokenization

from data import vocabulary
from data.bert import build as bert_build
from data.bert import sequences as bert_sequences
from data.bert import write as bert_write
from data.errors import InputError
from tests.data.bert.text import LENGTH, PREDICTIONS, masked, read, split_of


@pytest.fixture(scope="module")
def official(built, documents, tmp_path_factory):
    """Its records of the validation documents, and ours as pairs: arrays by name."""
    from official.nlp.data import create_pretraining_data

    folder = tmp_path_factory.mktemp("official")
    texts = [document.text for document in documents if split_of(document) != "train"][::3]
    lines = ["\n".join(bert_sequences.sentences(body)) for body in texts]
    (folder / "input.txt").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = tokenization.FullTokenizer(str(built[0] / "vocab.txt"), do_lower_case=True)
    instances = create_pretraining_data.create_training_instances(
        [str(folder / "input.txt")],
        tokenizer,
        create_pretraining_data.get_processor_text_fn(False, True),
        LENGTH,
        4,
        0.0,  # with few documents, which of them is cut short would decide the figures
        0.15,
        PREDICTIONS,
        random.Random(1),
    )
    create_pretraining_data.write_instance_to_example_files(
        instances, tokenizer, LENGTH, PREDICTIONS, [str(folder / "official.tfrecord")], False, True
    )
    return folder / "official.tfrecord", texts


def test_the_official_script_writes_the_same_fields(official, built):
    """Names, types and shapes of the features of its records and of ours, and what its loader makes of both."""

    def features(path):
        record = next(iter(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()))
        found = tf.train.Example.FromString(record).features.feature
        return {name: (value.WhichOneof("kind"), _length(value)) for name, value in found.items()}

    theirs, ours = features(official[0]), features(next(built[0].glob("train-*")))
    assert theirs.pop("next_sentence_labels") == ("int64_list", 1)
    assert theirs == ours
    for values in (read([official[0]]), read(built[0].glob("validation-*"))):
        assert {name: (value.dtype, value.shape[1:]) for name, value in values.items()} == {
            "input_word_ids": (np.int32, (LENGTH,)),
            "input_mask": (np.int32, (LENGTH,)),
            "input_type_ids": (np.int32, (LENGTH,)),
            "masked_lm_positions": (np.int32, (PREDICTIONS,)),
            "masked_lm_ids": (np.int32, (PREDICTIONS,)),
            "masked_lm_weights": (np.float32, (PREDICTIONS,)),
        }
        found = masked(values)
        real, used = found.weights > 0, found.mask > 0
        assert (values["masked_lm_ids"][~real] == 0).all() and (found.positions[~real] == 0).all()
        assert (found.word_ids[:, 0] == vocabulary.CLS).all() and (found.word_ids[~used] == vocabulary.PAD).all()
        assert (np.diff(found.positions.astype(int), axis=1)[real[:, 1:]] > 0).all()
        last = found.mask.sum(axis=1) - 1
        assert (found.word_ids[np.arange(len(last)), last] == vocabulary.SEP).all()


def _length(value):
    return len(getattr(value, value.WhichOneof("kind")).value)


def _titles(bounds):
    return [str(number).encode() for number in range(len(bounds))]


def test_a_random_second_half_is_of_another_document_however_few_there_are(encoder):
    """Two documents, one of them in three parts; each has words of its own."""
    texts = ["Red apples fall. Red apples rot. Red apples grow. " * 9] * 3 + ["Blue birds sing. Blue birds fly. " * 9]
    ids, bounds = bert_sequences.encode_sentences(texts, encoder)
    special, titles = vocabulary.Special(), [b"apples"] * 3 + [b"birds"]
    chance = [np.random.default_rng(number) for number in range(5)]
    red, blue = (encoder.encode([word])[0][0] for word in ("red", "blue"))
    found = collections.Counter()
    for one in bert_sequences.pairs(ids, bounds, titles, 48, chance, special):
        for row, types, label in zip(one.word_ids, one.types, one.labels, strict=True):
            colours = [{red, blue} & set(row[types == side].tolist()) for side in (0, 1)]
            if all(colours):
                found[int(label), colours[0] == colours[1]] += 1
    assert found[1, False] > 20 and found[0, True] > 20 and set(found) == {(1, False), (0, True)}
    with pytest.raises(InputError, match="PAIRS=1: a file would hold one document alone"):
        bert_sequences.pairs(ids, bounds, [b"apples"] * 4, 48, chance, special)


def test_a_block_of_pairs_has_two_documents_where_there_are_two(monkeypatch):
    monkeypatch.setattr(bert_write, "_BLOCK", 10)
    texts = [(title, "x" * 6) for title in [b"a"] * 5 + [b"b"] * 2 + [b"c"] * 4]
    for titles in (1, 2):
        blocks = list(bert_write._blocks(iter(texts), titles))
        assert [pair for block in blocks for pair in block] == texts and len(blocks) > 1
        assert all(len({title for title, _ in block}) >= titles for block in blocks)
    assert list(bert_write._blocks(iter(texts[:5]), 2)) == [texts[:5]] and list(bert_write._blocks(iter([]), 2)) == []


def test_pairs_are_those_of_the_official_script(official, encoder, monkeypatch):
    """As many, as often random, as long; its 4 passes against 20 of ours."""
    monkeypatch.setattr(bert_sequences, "SHORT_SHARE", 0.0)
    theirs = read([official[0]], pairs=True)
    ids, bounds = bert_sequences.encode_sentences(official[1], encoder)
    chance = [np.random.default_rng(number) for number in range(20)]
    passes = bert_sequences.pairs(ids, bounds, _titles(bounds), LENGTH, chance, vocabulary.Special())
    counts = [len(one.word_ids) for one in passes]
    assert np.mean(counts) == pytest.approx(len(theirs["input_mask"]) / 4, rel=0.02)
    labels = np.concatenate([one.labels for one in passes])
    sizes = np.concatenate([(one.word_ids != vocabulary.PAD).sum(axis=1) for one in passes])
    assert labels.mean() == pytest.approx(theirs["next_sentence_labels"].mean(), abs=0.03)
    assert sizes.mean() == pytest.approx(theirs["input_mask"].sum(axis=1).mean(), rel=0.02)
    second = np.concatenate([one.types.sum(axis=1) for one in passes])
    assert second.mean() == pytest.approx(theirs["input_type_ids"].sum(axis=1).mean(), rel=0.04)
    for one in passes:
        seps = (one.word_ids == vocabulary.SEP).sum(axis=1)
        assert (seps == 2).all()
        second = np.cumsum(one.word_ids == vocabulary.SEP, axis=1) - (one.word_ids == vocabulary.SEP)
        np.testing.assert_array_equal(one.types, (second == 1) & (one.word_ids != vocabulary.PAD))


def test_next_sentences_are_next(encoder, documents):
    """Where the label is 0, A and B together are a piece of one document; where it is 1, with few exceptions not."""
    texts = [document.text for document in documents[::2]]
    ids, bounds = bert_sequences.encode_sentences(texts, encoder)
    (one,) = bert_sequences.pairs(ids, bounds, _titles(bounds), 128, [np.random.default_rng(0)], vocabulary.Special())
    haystack = b"\xff\xff".join(ids[places[0] : places[-1]].astype("<u2").tobytes() for places in bounds)
    found = collections.defaultdict(list)
    for row, types, label in zip(one.word_ids[::9], one.types[::9], one.labels[::9], strict=True):
        inside = ~np.isin(row, (vocabulary.PAD, vocabulary.CLS, vocabulary.SEP))
        a, b = row[inside & (types == 0)], row[inside & (types == 1)]
        assert a.astype("<u2").tobytes() in haystack and b.astype("<u2").tobytes() in haystack
        # Where they were cut to length, A's end or B's beginning may be gone.
        if len(a) + len(b) < 125:
            found[int(label)].append(np.concatenate([a, b]).astype("<u2").tobytes() in haystack)
    assert all(found[0]) and len(found[0]) > 30
    assert np.mean(found[1]) < 0.1 and len(found[1]) > 30


def test_pairs_are_built(units, tmp_path):
    options = bert_build.Options(
        vocab_size=4096,
        dupe_factor=1,
        held_out=0.06,
        shards=1,
        held_out_shards=1,
        seq_length=128,
        max_predictions=20,
        next_sentence=True,
    )
    content = bert_build.build(units[1:], str(tmp_path / "text"), options)
    values = read((tmp_path / "text").glob("train-*"), 128, 20, pairs=True)
    assert len(values["input_mask"]) == content["splits"]["train"]["sequences"]
    assert 0.45 < values["next_sentence_labels"].mean() < 0.65
    assert (values["masked_lm_weights"].sum(axis=1) <= 20).all()
