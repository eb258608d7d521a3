"""Builds the laptop-scale text: the corpus of `data.text` as masked BERT sequences."""

import pathlib
from collections.abc import Iterable

import numpy as np
from tokenizers import Tokenizer

from data import manifest, masking, records, vocabulary
from data.documents import SPLITS
from data.laptop import sources, text

_WIKITEXT = 2  # counts the changes of what data/bert/wikitext.py makes of the dump: a text of before is built again
SHARDS = {"train": 4, "selection": 1, "validation": 1}
# Keys the chance of the shuffle apart from that of the splits (0, 1, 2).
_SHUFFLE = len(SPLITS)


def expected(options: dict[str, int]) -> dict:
    """The fields of the manifest that are known before building: a folder that has others is out of date."""
    found = {source.name: source.record() for source in sources.TEXT_SOURCES}
    return {"options": options, "sources": found, "wikitext": _WIKITEXT}


def encode(tokenizer: Tokenizer, documents: list[text.Document]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the documents, concatenated, int32 [T], and how many each has, int64 [D]."""
    encodings = [encoding.ids for encoding in tokenizer.encode_batch_fast([document.text for document in documents])]
    lengths = np.array([len(ids) for ids in encodings], np.int64)
    return np.concatenate([np.array(ids, np.int32) for ids in encodings] or [np.zeros(0, np.int32)]), lengths


def build(folder: pathlib.Path, downloads: pathlib.Path, options: dict[str, int]) -> dict:
    """Writes vocab.txt, the shards and manifest.json into `folder`, which exists and is empty.

    Args:
      options: vocab_size (tokens), seq_length (tokens), max_predictions (per sequence), dupe_factor, seed.

    Returns:
      The manifest.

    Raises:
      InputError: a source is missing or damaged, or `vocab_size` is too small.
    """
    return write(folder, "text", text.documents(sources.fetch(downloads)), options, expected(options))


def write(
    folder: pathlib.Path, kind: str, texts: Iterable[text.Document], options: dict[str, int], known: dict
) -> dict:
    """Writes vocab.txt, the shards and manifest.json of any documents.

    Args:
      kind: of the data, as the manifest says it.
      options: as `build` takes them.
      known: the manifest's fields that are known before.

    Returns:
      The manifest.

    Raises:
      InputError: `vocab_size` is too small.
    """
    documents = text.by_split(texts)
    tokens = vocabulary.train((document.text for document in documents["train"]), options["vocab_size"])
    vocabulary.save(tokens, folder / "vocab.txt")
    files, splits, targets = ["vocab.txt"], {}, {}
    tokenizer = vocabulary.tokenizer(tokens)
    for number, split in enumerate(SPLITS):
        training = split == "train"
        ids, lengths = encode(tokenizer, documents[split])
        masked = masking.duplicates(
            ids,
            lengths,
            split=number,
            count=options["dupe_factor"] if training else 1,
            vary_cuts=training,
            seq_length=options["seq_length"],
            max_predictions=options["max_predictions"],
            vocab_size=len(tokens),
            seed=options["seed"],
        )
        # The first records of an evaluation split are then a fair sample of it.
        order = masking.generator_for(options["seed"], _SHUFFLE, number).permutation(len(masked))
        masked = masked.take(order)
        files += records.write_masked(folder, split, SHARDS[split], masked)
        targets[split] = masked.target_ids[masked.weights > 0]
        splits[split] = {
            "documents": len(documents[split]),
            "words": sum(len(document.text.split()) for document in documents[split]),
            "tokens": int(lengths.sum()),
            "unknown_tokens": int((ids == vocabulary.UNK).sum()),
            "sequences": len(masked),
            "real_tokens": int(masked.mask.sum()) - 2 * len(masked),
            "predictions": len(targets[split]),
        }
    fields = known | {
        "licence": "text under the licences of its sources, see sources",
        "vocabulary": {"tokens": len(tokens), "special": list(vocabulary.SPECIAL_TOKENS), "lower_case": True},
        "splits": splits,
        "commonest_token": None,
        "commonest_token_accuracy": {},
    }
    commonest = int(np.bincount(targets["train"]).argmax())
    fields["commonest_token"] = tokens[commonest]
    for split in ("selection", "validation"):
        fields["commonest_token_accuracy"][split] = float((targets[split] == commonest).mean())
    return manifest.write(folder, kind, files, fields)
