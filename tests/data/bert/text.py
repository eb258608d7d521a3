"""The paper's text as the tests build it, once a session, from a real dump and long texts; how they read it."""

import hashlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from official.nlp.data import pretrain_dataloader

from data import masking, vocabulary
from data.bert import build as bert_build
from data.bert import sources as bert_sources
from data.bert import tokens as bert_tokens
from data.documents import split_of as split_of_title
from data.laptop import sample

LENGTH, PREDICTIONS, PASSES, SHARDS = 512, 76, 2, 3
OPTIONS = bert_build.Options(
    vocab_size=4096, dupe_factor=PASSES, held_out=0.06, shards=SHARDS, held_out_shards=1, seed=7
)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, laptop_data):
    """The dump's file and the books' folder."""
    return sample.write(tmp_path_factory.mktemp("inputs"), laptop_data.parent / "downloads")


@pytest.fixture(scope="session")
def units(inputs):
    return bert_sources.list_units(str(inputs[0]), None, str(inputs[1]))


@pytest.fixture(scope="session")
def built(units, tmp_path_factory):
    """The folder and its manifest."""
    folder = tmp_path_factory.mktemp("built") / "text"
    return folder, bert_build.build(units, str(folder), OPTIONS)


@pytest.fixture(scope="session")
def documents(units):
    return [document for unit in units for document in bert_sources.documents(unit)]


@pytest.fixture(scope="session")
def encoder(built):
    return bert_tokens.Encoder(vocabulary.load(built[0] / "vocab.txt"))


def split_of(document):
    return split_of_title(document.title, OPTIONS.held_out, OPTIONS.held_out)


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


# The manifest.


# The same bytes.


# The official script, create_pretraining_data.py, on the same sentences.


# Other inputs.


# What the user has to mend.


# The command.
