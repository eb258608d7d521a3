"""The paper's text, built with Beam from a real dump and long texts: every token, title, mask and byte."""

import dataclasses
import fcntl
import itertools
import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import masking, vocabulary
from data.bert import build as bert_build
from data.bert import sources as bert_sources
from data.bert import spill as bert_spill
from data.bert import tokens as bert_tokens
from data.documents import SPLITS, normalised_title
from data.errors import InputError
from tests.conftest import ROOT
from tests.data.bert.text import (
    LENGTH,
    OPTIONS,
    PASSES,
    PREDICTIONS,
    SHARDS,
    hashes,
    masked,
    parts,
    read,
    shards_of_pass,
    split_of,
)


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
    bodies = {split: [] for split in SPLITS}
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
    titles = {split: {normalised_title(d.title) for d in documents if split_of(d) == split} for split in bodies}
    assert all(not titles[a] & titles[b] for a, b in itertools.combinations(SPLITS, 2))
    assert all(titles.values()) and sum(map(len, titles.values())) == len(
        {normalised_title(document.title) for document in documents}
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


def test_the_manifest_counts_what_is_there(built, documents):
    folder, content = built
    assert json.loads((folder / "manifest.json").read_text()) == content
    assert {name: entry["sha256"] for name, entry in content["files"].items()} == {
        name: digest for name, digest in hashes(folder).items() if name != "manifest.json"
    }
    for split in SPLITS:
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
    assert list(itertools.chain(*merged)) == [(key[:16], keys[key]) for key in sorted(keys)]


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


def test_folders_of_other_builds_are_left_alone(built, units, tmp_path):
    other = dataclasses.replace(OPTIONS, seed=8)
    with pytest.raises(InputError, match="holds other data or was built with other options; delete it"):
        bert_build.build(units, str(built[0]), other)
    with pytest.raises(InputError, match="holds other data"):
        bert_build.build(units[1:], str(built[0]), OPTIONS)
    assert bert_build.build(units, str(built[0]), OPTIONS) == built[1]
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="has files that are not of this build"):
        bert_build.build(units, str(tmp_path), OPTIONS)


def test_two_builds_do_not_share_a_folder(units, tmp_path):
    work = tmp_path / "text" / ".building"
    work.mkdir(parents=True)
    with open(work / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is building there"):
            bert_build.build(units, str(tmp_path / "text"), OPTIONS)


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
