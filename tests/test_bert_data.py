"""The paper's text, built with Beam from a real dump and long texts: against the documents and the official script."""

import bz2
import collections
import dataclasses
import hashlib
import itertools
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st
from official.nlp.data import pretrain_dataloader
from official.nlp.tools import tokenization

from data import (
    bert_build,
    bert_sample,
    bert_sequences,
    bert_sources,
    bert_spill,
    bert_tokens,
    masking,
    text,
    vocabulary,
)
from data.errors import InputError
from tests.conftest import ROOT

LENGTH, PREDICTIONS, PASSES, SHARDS = 512, 76, 2, 3
OPTIONS = bert_build.Options(
    vocab_size=4096, dupe_factor=PASSES, held_out=0.06, shards=SHARDS, held_out_shards=1, seed=7
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, laptop_data):
    """The dump's file and the books' folder."""
    return bert_sample.write(tmp_path_factory.mktemp("inputs"), laptop_data.parent / "downloads")


@pytest.fixture(scope="module")
def units(inputs):
    return bert_sources.list_units(str(inputs[0]), None, str(inputs[1]))


@pytest.fixture(scope="module")
def built(units, tmp_path_factory):
    """The folder and its manifest."""
    folder = tmp_path_factory.mktemp("built") / "text"
    return folder, bert_build.build(units, str(folder), OPTIONS)


@pytest.fixture(scope="module")
def documents(units):
    return [document for unit in units for document in bert_sources.documents(unit)]


@pytest.fixture(scope="module")
def encoder(built):
    return bert_tokens.Encoder(vocabulary.load(built[0] / "vocab.txt"))


def split_of(document):
    return text.split_of(document.title, OPTIONS.held_out, OPTIONS.held_out)


def read(paths, length=LENGTH, predictions=PREDICTIONS, pairs=False):
    """All records of some files, as the trainers' loader gives them: arrays by name."""
    config = pretrain_dataloader.BertPretrainDataConfig(
        seq_length=length,
        max_predictions_per_seq=predictions,
        use_next_sentence_label=pairs,
        use_v2_feature_names=True,
    )
    loader = pretrain_dataloader.BertPretrainDataLoader(config)
    paths = sorted(map(str, paths))
    parsed = tf.data.TFRecordDataset(paths).map(lambda record: loader._parse(loader._decode(record))).batch(1024)
    batches = list(parsed.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def masked(values) -> masking.Masked:
    names = ("input_word_ids", "input_mask", "masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
    return masking.Masked(*(values[name] for name in names))


def shards_of_pass(folder, number):
    return [folder / f"train-{number * SHARDS + n:05d}-of-{SHARDS * PASSES:05d}.tfrecord" for n in range(SHARDS)]


def parts(folder):
    """(split, the files that hold all of its documents once)."""
    for number in range(PASSES):
        yield "train", shards_of_pass(folder, number)
    for split in ("selection", "validation"):
        yield split, list(folder.glob(f"{split}-*"))


def hashes(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in pathlib.Path(folder).iterdir()
        if path.is_file()
    }


# Whole documents, on one side each.


def test_every_token_of_every_document_is_there_once_a_pass_and_on_its_side(built, documents, encoder):
    for split, paths in parts(built[0]):
        ids, _ = encoder.encode([document.text for document in documents if split_of(document) == split])
        sequences = masking.unmask(masked(read(paths)))
        inside = sequences[sequences != vocabulary.PAD]
        special = np.isin(inside, (vocabulary.CLS, vocabulary.SEP))
        assert special.sum() == 2 * len(sequences)
        np.testing.assert_array_equal(np.bincount(inside[~special], minlength=4096), np.bincount(ids, minlength=4096))


def test_no_title_is_on_two_sides(built, documents, encoder):
    """Each sequence is a piece of a document whose title is of that split, and of no document with another split."""
    bodies = {split: [] for split in text.SPLITS}
    for document in documents:
        bodies[split_of(document)].append(encoder.encode([document.text])[0].astype("<u2").tobytes())
    haystacks = {split: b"\xff\xff".join(found) for split, found in bodies.items()}
    for split, paths in parts(built[0]):
        sequences = masking.unmask(masked(read(paths)))
        for row in sequences[:: max(1, len(sequences) // 150)]:
            piece = row[(row != vocabulary.PAD) & (row != vocabulary.CLS) & (row != vocabulary.SEP)]
            if len(piece) < 30:  # a sentence that two documents may well have in common
                continue
            found = {name for name, haystack in haystacks.items() if piece.astype("<u2").tobytes() in haystack}
            assert found == {split}
    titles = {split: {text.normalised_title(d.title) for d in documents if split_of(d) == split} for split in bodies}
    assert all(not titles[a] & titles[b] for a, b in itertools.combinations(text.SPLITS, 2))
    assert all(titles.values()) and sum(map(len, titles.values())) == len(
        {text.normalised_title(document.title) for document in documents}
    )


def test_masks_are_those_of_devlin_et_al(built):
    folder, _ = built
    found = masked(read(folder.glob("train-*")))
    original, real = masking.unmask(found), found.weights > 0
    ordinary = (original >= 5).sum(axis=1)
    np.testing.assert_array_equal(real.sum(axis=1), np.clip(np.rint(0.15 * ordinary), 1, PREDICTIONS))
    assert real.sum(axis=1).max() == PREDICTIONS == found.positions.shape[1]
    row, column = np.nonzero(real)
    shown, target = found.word_ids[row, found.positions[row, column]], found.target_ids[row, column]
    shares = (shown == vocabulary.MASK).mean(), (shown == target).mean()
    assert len(target) > 500_000
    # A random token is the right one in one of 4,091 cases.
    assert abs(shares[0] - 0.8) < 0.005 and abs(shares[1] - 0.1) < 0.005 and abs(1 - sum(shares) - 0.1) < 0.005
    assert (shown >= 4).all() and (target >= 5).all()
    changed = found.word_ids != original
    assert changed.sum() == (shown != target).sum()


def test_passes_are_cut_and_masked_afresh(built):
    first, second = (read(shards_of_pass(built[0], number)) for number in range(PASSES))
    rows = [{row.tobytes() for row in one["input_word_ids"]} for one in (first, second)]
    assert len(rows[0] & rows[1]) < 0.02 * len(rows[0])
    originals = [{row.tobytes() for row in masking.unmask(masked(one))} for one in (first, second)]
    assert 0 < len(originals[0] & originals[1]) < len(originals[0]) / 2


def test_lengths_are_those_of_devlin_et_al(built, documents, encoder):
    """Of a document that is not one of the 10 % short ones all pieces but the first and the last are full."""
    found = read(shards_of_pass(built[0], 0))["input_mask"].sum(axis=1)
    train = [document.text for document in documents if split_of(document) == "train"]
    _, lengths = encoder.encode(train)
    fewest = (-(-lengths // (LENGTH - 2))).sum()
    assert fewest < len(found) < 1.6 * fewest
    assert (found == LENGTH).mean() > 0.5 and found.max() == LENGTH and found.min() >= 3


# The manifest.


def test_the_manifest_counts_what_is_there(built, documents):
    folder, content = built
    assert json.loads((folder / "manifest.json").read_text()) == content
    assert {name: entry["sha256"] for name, entry in content["files"].items()} == {
        name: digest for name, digest in hashes(folder).items() if name != "manifest.json"
    }
    for split in text.SPLITS:
        of_split = [document for document in documents if split_of(document) == split]
        counts = content["splits"][split]
        assert counts["documents"] == len(of_split)
        assert counts["words"] == sum(len(document.text.split()) for document in of_split)
        values = read(folder.glob(f"{split}-*"))
        assert counts["sequences"] == len(values["input_mask"])
        assert counts["predictions"] == values["masked_lm_weights"].sum()
        assert counts["real_tokens"] == values["input_mask"].sum() - 2 * counts["sequences"]
    assert content["splits"]["train"]["real_tokens"] == PASSES * content["splits"]["train"]["tokens"]
    assert content["sources"]["books"]["files"] == 249 and content["sources"]["dump"]["documents"] > 100
    assert content["versions"]["apache-beam"] and content["options"]["seed"] == 7
    assert not (folder / ".building").exists()


# The same bytes.


def test_the_order_of_the_files_and_the_size_of_the_spills_change_no_byte(built, units, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(bert_spill, "BUFFER", 300_000)
    monkeypatch.setattr(bert_sources, "_BOOKS_OF_A_UNIT", 3_000_000)
    other = bert_sources.list_units(str(inputs[0]), None, str(inputs[1]))
    assert len(other) > len(units) + 2
    random.Random(1).shuffle(other)
    bert_build.build(other, str(tmp_path / "text"), OPTIONS)
    mine, others = hashes(built[0]), hashes(tmp_path / "text")
    assert mine == others


@given(
    st.lists(st.tuples(st.integers(0, 5), st.text("ab \n", min_size=1, max_size=30)), max_size=40),
    st.integers(1, 4),
    st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=40)
def test_a_merge_is_a_sort(tmp_path_factory, found, buckets, chance):
    """Whatever the spills are; documents that are there twice come once."""
    folder = tmp_path_factory.mktemp("spills")
    known = [bert_sources.Document(f"title {number}", 0, body) for number, body in found]
    keys = {bert_spill.key_of(document, 3): document.text for document in known}
    draw, paths = random.Random(chance), []
    spills = [bert_spill.Spill(str(folder / f"unit{n}"), buckets) for n in range(3)]
    for document in draw.sample(known, len(known)) + known[:5]:
        key, spill = bert_spill.key_of(document, 3), draw.choice(spills)
        spill.add(bert_spill.bucket_of(key, buckets), key, document.text)
        if draw.random() < 0.3:
            spill.flush()
    for spill in spills:
        spill.flush()
        paths += spill.paths
    merged = [list(bert_spill.merge(paths, bucket)) for bucket in range(buckets)]
    assert list(itertools.chain(*merged)) == [keys[key] for key in sorted(keys)]


def test_words_are_cut_as_the_tokenizer_cuts_texts(built, documents, encoder, monkeypatch):
    tokenizer = vocabulary.tokenizer(vocabulary.load(built[0] / "vocab.txt"))
    texts = [document.text for document in documents[::8]] + ["", "日本 naïve [MASK] co-op’s \u0301x …", "x" * 200]
    ids, lengths = encoder.encode(texts)
    expected = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    assert lengths.tolist() == list(map(len, expected))
    np.testing.assert_array_equal(ids, list(itertools.chain(*expected)))
    monkeypatch.setattr(bert_tokens, "_REMEMBERED", 100)  # forgets, and cuts anew
    small = bert_tokens.Encoder(vocabulary.load(built[0] / "vocab.txt"))
    again = [small.encode([body])[0] for body in texts]
    np.testing.assert_array_equal(np.concatenate(again), ids)


# The official script, create_pretraining_data.py, on the same sentences.


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


def test_pairs_are_those_of_the_official_script(official, encoder, monkeypatch):
    """As many, as often random, as long; its 4 passes against 20 of ours."""
    monkeypatch.setattr(bert_sequences, "SHORT_SHARE", 0.0)
    theirs = read([official[0]], pairs=True)
    ids, bounds = bert_sequences.encode_sentences(official[1], encoder)
    chance = [np.random.default_rng(number) for number in range(20)]
    passes = bert_sequences.pairs(ids, bounds, LENGTH, chance, vocabulary.Special())
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
    (one,) = bert_sequences.pairs(ids, bounds, 128, [np.random.default_rng(0)], vocabulary.Special())
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


# Other inputs.


def test_tensorflow_datasets_wikipedia_is_read(units, tmp_path):
    """Written by TensorFlow Datasets' own writer, with wikipedia's features, from the dump's articles."""
    articles = [document for unit in units if unit.kind == "dump" for document in bert_sources.documents(unit)]
    headed = ["Heading\n" + article.text.replace("\n", "\n\n") for article in articles]
    examples = {"title": [article.title for article in articles], "text": headed}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="wikipedia",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"title": tfds.features.Text(), "text": tfds.features.Text()}),
        split_datasets={"train": tf.data.Dataset.from_tensor_slices(examples)},
        config="20240101.en",
        data_dir=tmp_path,
    )
    (folder,) = {path.parent for path in tmp_path.rglob("dataset_info.json")}
    found = bert_sources.list_units(None, str(folder), None)
    assert {unit.kind for unit in found} == {"tfds"}
    read_back = [document for unit in found for document in bert_sources.documents(unit)]
    assert {(d.title, d.text) for d in read_back} == {(d.title, d.text) for d in articles}
    with pytest.raises(InputError, match=r"not a data set of TensorFlow Datasets .* TFDS="):
        bert_sources.list_units(None, str(tmp_path), None)


def test_a_long_book_is_read_in_parts_of_one_title(tmp_path, monkeypatch):
    monkeypatch.setattr(bert_sources, "_LONGEST_PART", 1000)
    lines = [f"line {number} of a book that is longer than a part may be" for number in range(100)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Book.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    (unit,) = bert_sources.list_units(None, None, str(tmp_path))
    found = list(bert_sources.documents(unit))
    assert [document.part for document in found] == list(range(len(found))) and len(found) > 3
    assert {document.title for document in found} == {"Book"}
    assert "\n".join(document.text for document in found).split("\n") == lines


def test_a_dump_in_parts_is_the_dump(inputs, tmp_path):
    """Two files that have an article in common are as one: the article comes once."""
    content = bz2.decompress(inputs[0].read_bytes()).decode()
    head, *pages = re.split(r"(?=<page>)", content)
    pages[-1] = pages[-1].replace("</mediawiki>", "")
    shared = next(number for number, page in enumerate(pages) if number > 20 and "<redirect" not in page)
    for number, some in enumerate((pages[: shared + 1], pages[shared:])):
        body = (head + "".join(some) + "</mediawiki>").encode()
        (tmp_path / f"enwiki-pages-articles{number}.xml-p1p2.bz2").write_bytes(bz2.compress(body))
    units = bert_sources.list_units(str(tmp_path), None, None)
    assert len(units) == 2
    titles = [document.title for unit in units for document in bert_sources.documents(unit)]
    whole = [d.title for u in bert_sources.list_units(str(inputs[0]), None, None) for d in bert_sources.documents(u)]
    assert set(titles) == set(whole) and len(titles) == len(whole) + 1


def test_a_vocabulary_laid_out_as_the_published_one(built, units, tmp_path):
    """[PAD], 99 unused, [UNK] [CLS] [SEP] [MASK], …: the special tokens are where they are, not at 0 … 4."""
    tokens = [token for token in vocabulary.load(built[0] / "vocab.txt") if token not in vocabulary.SPECIAL_TOKENS]
    unused = [f"[unused{number}]" for number in range(99)]
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", *unused, "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tokens]) + "\n")
    options = bert_build.Options(
        vocab_size=4096 + 99, dupe_factor=1, held_out=0.06, shards=1, held_out_shards=1, seed=7
    )
    content = bert_build.build(units[1:], str(tmp_path / "text"), options, str(path))
    assert not content["vocabulary"]["trained"] and content["vocabulary"]["tokens"] == 4195
    values = read((tmp_path / "text").glob("train-*"))
    assert (values["input_word_ids"][:, 0] == 101).all()
    targets = values["masked_lm_ids"][values["masked_lm_weights"] > 0]
    assert targets.min() >= 104
    rows, columns = np.nonzero(values["masked_lm_weights"])
    shown = values["input_word_ids"][rows, values["masked_lm_positions"][rows, columns]]
    assert abs((shown == 103).mean() - 0.8) < 0.005 and not np.isin(shown, (0, 100, 101, 102)).any()
    with pytest.raises(InputError, match=r"vocab\.txt: 4,195 tokens, not 30,522; name the right one"):
        bert_build.build(units[1:], str(tmp_path / "other"), bert_build.Options(), str(path))
    assert not (tmp_path / "other").exists()


# What the user has to mend.


def test_a_damaged_input_is_named_and_can_be_mended(inputs, tmp_path):
    dump, books = tmp_path / "dump.xml.bz2", tmp_path / "books"
    dump.write_bytes(inputs[0].read_bytes()[:-1000])
    books.mkdir()
    for path in sorted(inputs[1].iterdir())[:30]:
        (books / path.name).write_bytes(path.read_bytes())
    book = next(books.iterdir())
    whole = book.read_bytes()
    book.write_bytes(whole + b"\xff\xfe")
    options = bert_build.Options(vocab_size=4096, dupe_factor=1, held_out=0.1, shards=1, held_out_shards=1)

    def build():
        return bert_build.build(bert_sources.list_units(str(dump), None, str(books)), str(tmp_path / "text"), options)

    mends = {
        f"{book}: not UTF-8": (book, whole),
        f"{dump}: not a whole MediaWiki XML dump": (dump, inputs[0].read_bytes()),
    }
    while mends:  # which of the two is met first is the runner's choice
        with pytest.raises(InputError) as met:
            build()
        (message,) = [message for message in mends if str(met.value).startswith(message)]
        assert "\n" not in str(met.value) and not (tmp_path / "text" / "manifest.json").exists()
        path, content = mends.pop(message)
        path.write_bytes(content)
    assert build()["splits"]["train"]["sequences"] > 100


def test_folders_of_other_builds_are_left_alone(built, units, tmp_path):
    other = dataclasses.replace(OPTIONS, seed=8)
    with pytest.raises(InputError, match="holds other text or was built with other options; delete it"):
        bert_build.build(units, str(built[0]), other)
    with pytest.raises(InputError, match="holds other text"):
        bert_build.build(units[1:], str(built[0]), OPTIONS)
    assert bert_build.build(units, str(built[0]), OPTIONS) == built[1]
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="has files that are not of this build"):
        bert_build.build(units, str(tmp_path), OPTIONS)


@pytest.mark.parametrize(
    ("dump", "tfds_folder", "books", "message"),
    [
        ("no/such.bz2", None, None, r"no/such\.bz2: no such dump; .* DUMP="),
        (None, None, "no/folder", r"no/folder: no such folder; .* BOOKS="),
        (None, "no/folder", None, r"no/folder: not a data set of TensorFlow Datasets"),
    ],
)
def test_missing_inputs_are_named(dump, tfds_folder, books, message):
    with pytest.raises(InputError, match=message):
        bert_sources.list_units(dump, tfds_folder, books)


# The command.


def _command(inputs, data_dir, **more):
    flags = {
        "data_dir": data_dir,
        "dump": inputs[0],
        "books": inputs[1],
        "vocab_size": 4096,
        "dupe_factor": PASSES,
        "held_out": OPTIONS.held_out,
        "shards": SHARDS,
        "held_out_shards": 1,
        "seed": 7,
        "workers": 1,
    } | more
    return [sys.executable, "-m", "data.bert", *(f"--{name}={value}" for name, value in flags.items())]


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_two_processes_write_the_same_bytes(built, inputs, tmp_path):
    """Beam's FnApiRunner with two worker processes against the same in this process."""
    result = subprocess.run(
        _command(inputs, tmp_path, workers=2), capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    assert hashes(tmp_path / "text") == hashes(built[0])


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("until", ["books*.spill", "*.written.json"])
def test_a_killed_build_looks_unfinished_and_goes_on(built, inputs, tmp_path, until):
    """SIGKILL while the books are read, and after the first bucket of three is written."""
    process = subprocess.Popen(_command(inputs, tmp_path), cwd=ROOT, stderr=subprocess.DEVNULL)
    work = tmp_path / "text" / ".building"
    while not list(work.glob(until)):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "text" / "manifest.json").exists()
    before = {path.name: path.stat().st_mtime_ns for path in work.glob("*.written.json")}
    again = subprocess.run(_command(inputs, tmp_path), cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert hashes(tmp_path / "text") == hashes(built[0])
    assert not work.exists() and (bool(before) == (until == "*.written.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            r"bert-data: name the text: DUMP=.*\(dumps\.wikimedia\.org\).* BOOKS=folder of \.txt files; see the README",
        ),
        (["--dump=a", "--tfds=b"], r"bert-data: --dump and --tfds: both hold Wikipedia; name one of them"),
        (["--books=b", "--max_predictions=600"], r"bert-data: --max_predictions=600: has to be at most seq_length - 3"),
        (["--books=no/folder"], r"bert-data: no/folder: no such folder; .*"),
        (["--bocks=b"], r".*bocks.*see python -m data\.bert --help"),
    ],
)
def test_the_command_says_in_one_line_what_to_mend(arguments, message, tmp_path):
    command = [sys.executable, "-m", "data.bert", f"--data_dir={tmp_path / 'data'}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = [line for line in result.stderr.splitlines() if line]
    assert result.returncode == 2 and len(lines) == 1 and re.match(message, lines[0]), result.stderr
    assert not (tmp_path / "data").exists()
