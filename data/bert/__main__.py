"""Builds the paper's text: `python -m data.bert --dump=FILE --books=DIR`, or `--tfds=DIR` in place of the dump.

It leaves the masked TFRecords of train, selection and validation, vocab.txt and a manifest.json in `text/` of
--data_dir. Repeated after an interruption it goes on.
"""

import dataclasses
import os
import shlex

from absl import flags

from data import command_line
from data.errors import InputError

_LEAST = {
    "vocab_size": 6,
    "seq_length": 8,
    "max_predictions": 1,
    "dupe_factor": 1,
    "shards": 1,
    "held_out_shards": 1,
    "seed": 0,
}


def define_flags() -> None:
    """Defines the options."""
    flags.DEFINE_string("data_dir", ".data/paper", "Folder to build text/ in; a path or gs://….")
    flags.DEFINE_string("dump", None, "A Wikipedia pages-articles dump: a file, a folder of its parts or a glob.")
    flags.DEFINE_string("tfds", None, "Folder of wikipedia/CONFIG/VERSION as TensorFlow Datasets prepared it.")
    flags.DEFINE_string("books", None, "Folder of books, one .txt file each, at any depth.")
    flags.DEFINE_string("vocabulary", None, "vocab.txt of an uncased BERT; without it one is trained.")
    flags.DEFINE_integer("vocab_size", 30522, "Tokens of the vocabulary.")
    flags.DEFINE_integer("seq_length", 512, "Tokens of a sequence.")
    flags.DEFINE_integer("max_predictions", 76, "Most masked tokens of a sequence.")
    flags.DEFINE_integer("dupe_factor", 10, "How often the train text is cut and masked afresh.")
    flags.DEFINE_bool("next_sentence", False, "Pairs of segments, as for next-sentence prediction.")
    flags.DEFINE_float("held_out", 0.001, "Share of the titles for selection, and for validation.", 0.0, 0.5)
    flags.DEFINE_integer("shards", 256, "Files of one pass over the train text.")
    flags.DEFINE_integer("held_out_shards", 8, "Files of selection, and of validation.")
    flags.DEFINE_integer("seed", 0, "Seed of everything random.")
    flags.DEFINE_integer("workers", os.cpu_count(), "Processes of Beam's FnApiRunner.", lower_bound=1)
    flags.DEFINE_string("beam", "", "Beam's pipeline options, for another runner: '--runner=DaskRunner …'.")


def main() -> None:
    """Builds what the flags ask for.

    Raises:
      InputError: The user has to mend something.
      RunError: The pipeline failed.
    """
    values = flags.FLAGS
    for name, least in _LEAST.items():
        if values[name].value < least:
            raise InputError(f"--{name}={values[name].value}: has to be at least {least}")
    if values.max_predictions > values.seq_length - 3:
        raise InputError(
            f"--max_predictions={values.max_predictions}: has to be at most seq_length - 3 = {values.seq_length - 3}"
        )
    if not (values.dump or values.tfds or values.books):
        raise InputError(
            "name the text: DUMP=a Wikipedia pages-articles dump (dumps.wikimedia.org) or TFDS=wikipedia as TensorFlow "
            "Datasets prepared it, and BOOKS=folder of .txt files; see docs/bert_data.md"
        )
    if values.dump and values.tfds:
        raise InputError("--dump and --tfds: both hold Wikipedia; name one of them")
    from data.bert import build, sources  # take seconds to import

    units = sources.list_units(values.dump, values.tfds, values.books)
    names = [field.name for field in dataclasses.fields(build.Options) if field.name != "vocabulary"]
    options = build.Options(**{name: values[name].value for name in names})
    target = os.path.join(values.data_dir, "text")
    content = build.build(units, target, options, values.vocabulary, values.workers, shlex.split(values.beam))
    for split, counts in content["splits"].items():
        print(f"  text {split}: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))
    print(f"{target}: ready")


if __name__ == "__main__":
    define_flags()
    # The work is shared out among Beam's processes.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    command_line.run("bert-data", "data.bert", main)
