"""Builds the texts that the laptop's BERT is fine-tuned on: paragraphs of manuals, labelled with their service.

The services are those held out of pretraining (data/laptop/manuals.py), so that the BERT has read none of it. Every
class has as many paragraphs; many of them name their service.
"""

import hashlib
import pathlib

import numpy as np

from data import manifest, records, vocabulary
from data.documents import SPLITS
from data.laptop import corpus, manuals, sources, text

# Paragraphs of a class. Labels are dear, which is why one pretrains.
PARAGRAPHS = {"train": 100, "selection": 50, "validation": 50}


def expected(options: dict[str, int]) -> dict:
    """The fields of the manifest that are known before building: a folder that has others is out of date."""
    return manuals.expected(options) | {"paragraphs": PARAGRAPHS}


def build(folder: pathlib.Path, downloads: pathlib.Path, options: dict[str, int]) -> dict:
    """Writes vocab.txt, that of the manuals, the shards and manifest.json into `folder`, which exists and is empty.

    Args:
      options: vocab_size, seq_length (tokens).

    Returns:
      The manifest.

    Raises:
      InputError: the source is missing or damaged.
    """
    paths = sources.fetch(downloads, (sources.MANUALS,))
    documents = text.by_split(manuals.documents(sources.read_members(paths[sources.MANUALS.name], sources.MANUALS)))
    tokens = vocabulary.train((document.text for document in documents["train"]), options["vocab_size"])
    vocabulary.save(tokens, folder / "vocab.txt")
    classes, labelled = _labelled(documents["selection"] + documents["validation"])
    tokenizer, files = vocabulary.tokenizer(tokens), ["vocab.txt"]
    for number, split in enumerate(SPLITS):
        ids, lengths = corpus.encode(tokenizer, [text.Document("", body, "") for body, _ in labelled[split]])
        bodies = np.split(ids, np.cumsum(lengths)[:-1])
        order = np.random.default_rng([0, number]).permutation(len(bodies))
        examples = [_example(bodies[place], labelled[split][place][1], options["seq_length"]) for place in order]
        files += records.write(folder, split, 1, len(examples), examples.__getitem__)
    fields = expected(options) | {
        "licence": "text under the licence of its source, see sources",
        "vocabulary": {"tokens": len(tokens), "special": list(vocabulary.SPECIAL_TOKENS), "lower_case": True},
        "classes": classes,
        "splits": {split: {"paragraphs": len(labelled[split])} for split in SPLITS},
    }
    return manifest.write(folder, "services", files, fields)


def _labelled(documents: list[text.Document]) -> tuple[list[str], dict[str, list[tuple[str, int]]]]:
    """The services that have paragraphs enough, by name, and by split (paragraph, number of its service).

    Which paragraphs are taken, and for which split, goes by their SHA-256.
    """
    bodies = {document.title: document.text.split("\n") for document in documents}
    classes = sorted(title for title, own in bodies.items() if len(own) >= sum(PARAGRAPHS.values()))
    labelled: dict[str, list[tuple[str, int]]] = {split: [] for split in SPLITS}
    for label, title in enumerate(classes):
        own = iter(sorted(bodies[title], key=lambda body: hashlib.sha256(body.encode()).digest()))
        for split, count in PARAGRAPHS.items():
            labelled[split] += [(next(own), label) for _ in range(count)]
    return classes, labelled


def _example(ids: np.ndarray, label: int, length: int) -> bytes:
    """A record as tf-models-official's SentencePredictionDataLoader takes it, cut off at `length` tokens."""
    from tensorflow.core.example import example_pb2  # TensorFlow takes seconds to import (data/records.py)

    special = vocabulary.Special()
    words = [special.cls, *ids[: length - 2].tolist(), special.sep]
    filling = [0] * (length - len(words))
    record = example_pb2.Example()
    feature = record.features.feature
    feature["input_ids"].int64_list.value.extend(words + [special.pad] * len(filling))
    feature["input_mask"].int64_list.value.extend([1] * len(words) + filling)
    feature["segment_ids"].int64_list.value.extend([0] * length)
    feature["label_ids"].int64_list.value.append(label)
    return record.SerializeToString(deterministic=True)
