"""The text records against the corpus they are made of, read by tf-models' own loader and tokenizer."""

import collections
import glob

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from official.nlp.data import pretrain_dataloader
from official.nlp.tools import tokenization

from data import manifest, masking, records, vocabulary
from data.documents import SPLITS
from data.errors import InputError
from data.laptop import corpus, sources, text

LENGTH, PREDICTIONS = 128, 20


@pytest.fixture(scope="module")
def content(laptop_data):
    return manifest.require(laptop_data, "text")


@pytest.fixture(scope="module")
def sides(laptop_data):
    return text.by_split(text.documents(sources.fetch(laptop_data.parent / "downloads")))


@pytest.fixture(scope="module")
def tokens(laptop_data):
    return vocabulary.load(laptop_data / "text" / "vocab.txt")


@pytest.fixture(scope="module")
def encoded(sides, tokens):
    """(tokens of all documents, their lengths) by split."""
    tokenizer = vocabulary.tokenizer(tokens)
    return {split: corpus.encode(tokenizer, sides[split]) for split in SPLITS}


@pytest.fixture(scope="module")
def built(laptop_data):
    """Every record, as a Masked by split."""
    integers = {"input_word_ids": LENGTH, "input_mask": LENGTH, "masked_lm_positions": PREDICTIONS}
    integers |= {"masked_lm_ids": PREDICTIONS}
    features = {name: tf.io.FixedLenFeature([size], tf.int64) for name, size in integers.items()}
    features["masked_lm_weights"] = tf.io.FixedLenFeature([PREDICTIONS], tf.float32)
    splits = {}
    for split in SPLITS:
        shards = sorted(glob.glob(str(laptop_data / "text" / f"{split}-*.tfrecord")))
        parts = []
        for batch in tf.data.TFRecordDataset(shards).batch(8192):
            values = tf.io.parse_example(batch, features)
            arrays = [values[name].numpy().astype(np.int32) for name in integers]
            parts.append(masking.Masked(*arrays, values["masked_lm_weights"].numpy()))
        splits[split] = masking.concatenate(parts)
    return splits


def shuffle_of(split, masked, seed=0):
    """The order in which a split's sequences are written."""
    number = SPLITS.index(split)
    return masking.generator_for(seed, len(SPLITS), number).permutation(len(masked))


@pytest.fixture(scope="module")
def in_document_order(built):
    """The records with their shuffle undone."""
    return {split: masked.take(np.argsort(shuffle_of(split, masked))) for split, masked in built.items()}


def bodies(sequences: np.ndarray) -> np.ndarray:
    """The tokens between [CLS] and [SEP], one sequence after the other."""
    return sequences[~np.isin(sequences, (vocabulary.PAD, vocabulary.CLS, vocabulary.SEP))]


# The vocabulary.


def test_the_vocabulary_is_that_of_train_alone_and_deterministic(sides, tokens):
    # The built one is from another process, and had all splits at hand. Order does not matter either.
    train = [document.text for document in reversed(sides["train"])]
    assert vocabulary.train(train, 4096) == tokens
    assert len(tokens) == 4096


def test_the_tokenizer_is_bert_s(laptop_data, tokens, sides):
    reference = tokenization.FullTokenizer(str(laptop_data / "text" / "vocab.txt"), do_lower_case=True)
    tokenizer = vocabulary.tokenizer(tokens)
    for document in sides["validation"][::5]:
        assert tokenizer.encode(document.text).tokens == reference.tokenize(document.text)
    assert vocabulary.MASK not in tokenizer.encode("[MASK] [SEP]").ids


def test_a_vocabulary_is_saved_and_loaded(tmp_path):
    saved = [*vocabulary.SPECIAL_TOKENS, "a", "\x85", "\u2028", "##a"]
    vocabulary.save(saved, tmp_path / "vocab.txt")
    assert vocabulary.load(tmp_path / "vocab.txt") == saved
    for broken in ("a\n", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\na\n", None):
        (tmp_path / "vocab.txt").write_text(broken) if broken else (tmp_path / "vocab.txt").unlink()
        with pytest.raises(InputError, match=r"vocab\.txt: "):
            vocabulary.load(tmp_path / "vocab.txt")
    with pytest.raises(InputError, match=r"^--vocab_size=10 is less than the \d+ special tokens and characters"):
        vocabulary.train(["the quick brown fox jumps over the lazy dog"] * 20, 10)
    with pytest.raises(InputError, match="no text"):
        vocabulary.train([], 4096)


# Packing and masking.


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 12), st.none() | st.integers(0, 2**32))
@settings(deadline=None)
def test_pieces_tile_the_documents(lengths, longest, seed):
    lengths = np.array(lengths, np.int64)
    starts, sizes = masking.cut(lengths, longest, None if seed is None else np.random.default_rng(seed))
    assert np.array_equal(starts + sizes, np.append(starts[1:], lengths.sum())[: len(starts)])
    assert starts[:1].sum() == 0 and sizes.sum() == lengths.sum()
    assert ((sizes >= 1) & (sizes <= longest)).all()
    # No piece crosses a border: every border is where a piece begins. As few pieces as there can be.
    borders = (np.cumsum(lengths) - lengths)[lengths > 0]
    assert np.isin(borders, starts).all()
    assert len(starts) == sum(-(-length // longest) for length in lengths.tolist())


def test_the_first_cut_is_anywhere():
    firsts = {masking.cut(np.array([25]), 10, np.random.default_rng(seed))[1][0] for seed in range(200)}
    assert firsts == set(range(5, 11))


def test_the_layout_of_a_sequence(built, content):
    for split, masked in built.items():
        restored = masking.unmask(masked)
        ends = masked.mask.sum(axis=1) - 1
        columns = np.arange(LENGTH)
        assert (restored[:, 0] == vocabulary.CLS).all()
        assert (restored[np.arange(len(masked)), ends] == vocabulary.SEP).all()
        assert np.array_equal(restored == vocabulary.PAD, columns > ends[:, None])
        assert np.array_equal(masked.mask, (columns <= ends[:, None]).astype(np.int32))
        counts = content["splits"][split]
        assert counts["sequences"] == len(masked)
        assert counts["real_tokens"] == len(bodies(restored))
        assert counts["predictions"] == masked.weights.sum()


def test_the_targets_restore_the_text(built, in_document_order, encoded, sides, tokens):
    for split in ("selection", "validation"):
        assert np.array_equal(bodies(masking.unmask(in_document_order[split])), encoded[split][0])
    train = np.bincount(bodies(masking.unmask(built["train"])), minlength=len(tokens))
    assert np.array_equal(train, 5 * np.bincount(encoded["train"][0], minlength=len(tokens)))
    # And from tokens back to words, where all are known.
    words = " ".join(tokens[number] for number in encoded["validation"][0][: encoded["validation"][1][0]])
    spelled = sides["validation"][0].text.lower()
    assert "[UNK]" not in words
    assert "".join(words.replace(" ##", "").split()) == "".join(spelled.split())


def test_no_sequence_crosses_a_document(encoded, in_document_order):
    tokens_of, lengths = encoded["validation"]
    ends = np.cumsum(in_document_order["validation"].mask.sum(axis=1) - 2)
    assert np.isin(np.cumsum(lengths), ends).all()
    assert ends[-1] == len(tokens_of)


def test_the_share_of_targets(built):
    for masked in built.values():
        ordinary = (masking.unmask(masked) >= 5).sum(axis=1)
        counts = masked.weights.sum(axis=1)
        assert np.array_equal(counts, np.clip(np.rint(0.15 * ordinary), 1, PREDICTIONS))
        assert abs(counts.sum() / ordinary.sum() - 0.15) < 0.005


def test_the_targets_are_ordinary_tokens_in_order_and_uniform(built):
    for split, masked in built.items():
        real = masked.weights > 0
        assert np.array_equal(real, np.arange(PREDICTIONS) < real.sum(axis=1)[:, None])
        assert (masked.target_ids[real] >= 5).all()
        assert (masked.target_ids[~real] == 0).all() and (masked.positions[~real] == 0).all()
        ahead = np.diff(masked.positions, axis=1)[real[:, 1:]]
        assert (ahead > 0).all()
        # In full sequences each of the 126 places is a target equally often.
        if split == "train":
            full = masked.mask.sum(axis=1) == LENGTH
            share = np.bincount(masked.positions[full][real[full]], minlength=LENGTH)[1:-1] / full.sum()
            assert abs(share - 19 / 126).max() < 0.01


def test_eighty_ten_ten(built, tokens):
    for masked in built.values():
        real = masked.weights > 0
        shown = np.take_along_axis(masked.word_ids, masked.positions, axis=1)[real]
        target = masked.target_ids[real]
        drawn = (shown != vocabulary.MASK) & (shown != target)
        assert abs((shown == vocabulary.MASK).mean() - 0.8) < 0.01
        assert abs((shown == target).mean() - 0.1) < 0.01
        assert abs(drawn.mean() - 0.1) < 0.01
        # Random tokens are uniform over the ordinary ones: mean and spread of a discrete uniform distribution.
        assert shown.min() >= vocabulary.MASK
        ordinary = len(tokens) - 5
        assert abs(shown[drawn].mean() - (5 + (ordinary - 1) / 2)) < 5 * ordinary / np.sqrt(12 * drawn.sum())
        assert abs(shown[drawn].std() / (ordinary / np.sqrt(12)) - 1) < 0.05


def test_each_pass_is_cut_and_masked_afresh(encoded, tokens):
    ids, lengths = encoded["selection"]
    options = dict(seq_length=LENGTH, max_predictions=PREDICTIONS, vocab_size=len(tokens))

    def passes(seed, split=0, count=2, vary=True):
        return masking.duplicates(ids, lengths, split=split, count=count, vary_cuts=vary, seed=seed, **options)

    both, again, other = passes(0), passes(0), passes(1)
    half = len(both) // 2
    first, second = both.take(np.arange(half)), both.take(np.arange(half, 2 * half))
    assert all(np.array_equal(getattr(both, name), getattr(again, name)) for name in ("word_ids", "positions"))
    for one, two in ((first, second), (both, other), (both, passes(0, split=1))):
        assert not np.array_equal(masking.unmask(one), masking.unmask(two))
        assert np.array_equal(np.sort(bodies(masking.unmask(one))), np.sort(bodies(masking.unmask(two))))
    # Cut alike, two passes still choose other places.
    fixed = passes(0, vary=False)
    one, two = fixed.take(np.arange(half)), fixed.take(np.arange(half, 2 * half))
    assert np.array_equal(masking.unmask(one), masking.unmask(two))
    assert (one.positions == two.positions).mean() < 0.2


def test_a_sequence_of_unknown_words_is_left_out():
    sequences = masking.pack(np.array([1, 1, 7, 1]), np.array([2, 2]), 6, None)
    masked = masking.mask(sequences, 10, 3, np.random.default_rng(0))
    assert masking.unmask(masked).tolist() == [[2, 7, 1, 3, 0, 0]]
    assert masked.positions.tolist() == [[1, 0, 0]]


# Records.


def test_tf_models_loader_reads_the_records(laptop_data, built):
    for split in ("selection", "train"):
        config = pretrain_dataloader.BertPretrainDataConfig(
            input_path=str(laptop_data / "text" / f"{split}-00000-*.tfrecord"),
            global_batch_size=32,
            is_training=False,
            drop_remainder=False,
            seq_length=LENGTH,
            max_predictions_per_seq=PREDICTIONS,
            use_next_sentence_label=False,
            use_v2_feature_names=True,
        )
        batch = next(iter(pretrain_dataloader.BertPretrainDataLoader(config).load()))
        masked = built[split].take(np.arange(32))
        expected = {
            "input_word_ids": masked.word_ids,
            "input_mask": masked.mask,
            "input_type_ids": np.zeros_like(masked.word_ids),
            "masked_lm_positions": masked.positions,
            "masked_lm_ids": masked.target_ids,
            "masked_lm_weights": masked.weights,
        }
        assert batch.keys() == expected.keys()
        for name, values in expected.items():
            assert np.array_equal(batch[name], values), name


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path, encoded, tokens):
    ids, lengths = (array[:400] for array in encoded["validation"])
    written = {}
    for name, seed in (("once", 0), ("again", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        masked = masking.duplicates(
            ids,
            lengths[:2],
            split=0,
            count=3,
            vary_cuts=True,
            seq_length=64,
            max_predictions=9,
            vocab_size=len(tokens),
            seed=seed,
        )
        files = records.write_masked(tmp_path / name, "train", 2, masked)
        assert files == ["train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord"]
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == files
        written[name] = [(tmp_path / name / file).read_bytes() for file in files]
    assert written["once"] == written["again"] != written["other"]


def test_the_built_records_are_what_this_code_builds(encoded, built, content):
    options = content["options"]
    for number, split in enumerate(SPLITS):
        training = split == "train"
        fresh = masking.duplicates(
            *encoded[split],
            split=number,
            count=options["dupe_factor"] if training else 1,
            vary_cuts=training,
            seq_length=options["seq_length"],
            max_predictions=options["max_predictions"],
            vocab_size=options["vocab_size"],
            seed=options["seed"],
        )
        fresh = fresh.take(shuffle_of(split, fresh, options["seed"]))
        for name in ("word_ids", "mask", "positions", "target_ids", "weights"):
            assert np.array_equal(getattr(fresh, name), getattr(built[split], name)), (split, name)


def test_train_is_shuffled(built):
    # In document order a sequence goes on where the one before it stops; the speeches alone are most of the text.
    restored = masking.unmask(built["train"])
    full = restored[restored[:, -1] == vocabulary.SEP][:5000]
    seen = {bytes(row[1:9]) for row in full}
    assert len(seen) > 4000
    lengths = built["train"].mask.sum(axis=1).astype(np.float64)
    assert abs(np.corrcoef(lengths[1:], lengths[:-1])[0, 1]) < 0.02


def test_the_commonest_token_s_accuracy(built, content, tokens):
    def targets(split):
        return built[split].target_ids[built[split].weights > 0]

    commonest = collections.Counter(targets("train").tolist()).most_common(1)[0][0]
    assert content["commonest_token"] == tokens[commonest]
    for split in ("selection", "validation"):
        assert content["commonest_token_accuracy"][split] == pytest.approx(np.mean(targets(split) == commonest))
        assert 0.02 < content["commonest_token_accuracy"][split] < 0.10
