"""Builds the laptop-scale data: `python -m data.laptop --data_dir=.data/laptop`.

It leaves `manuals/`, `images/`, `services/` and `text/` in the folder, each with a manifest.json, and what it
downloaded in `downloads/` beside the folder. A part that is there already, whole and with the same options, is left
alone.
"""

import pathlib
import time

from absl import flags

from data import command_line, manifest
from data.laptop.build import LEAST, build, summary, text_options


def define_flags() -> None:
    """Defines the options. Not at import: other programs have a --seed and a --data_dir too."""
    flags.DEFINE_string("data_dir", ".data/laptop", "Folder to build in.")
    flags.DEFINE_bool("text", False, "Build the prose. Without --text, --images, --manuals, --services: all.")
    flags.DEFINE_bool("images", False, "Build the images.")
    flags.DEFINE_bool("manuals", False, "Build the documentation of web services, BERT's text.")
    flags.DEFINE_bool("services", False, "Build paragraphs labelled with their service, for fine-tuning.")
    flags.DEFINE_integer("vocab_size", None, "Tokens of the vocabulary (4096).")
    flags.DEFINE_integer("seq_length", None, "Tokens of a sequence (64; the prose: 128).")
    flags.DEFINE_integer("max_predictions", None, "Most masked tokens of a sequence (10; the prose: 20).")
    flags.DEFINE_integer("dupe_factor", None, "How often the train text is masked afresh (5).")
    flags.DEFINE_integer("seed", 0, "Seed of everything random.")


def main() -> None:
    """Builds what the flags ask for.

    Raises:
      InputError: The user has to mend something.
    """
    values = flags.FLAGS
    given = {name: values[name].value for name in LEAST if values[name].value is not None}
    wanted = {kind: values[kind].value for kind in manifest.KINDS}
    if not any(wanted.values()):
        wanted = dict.fromkeys(wanted, True)
    manuals = text_options(**({"seq_length": 64, "max_predictions": 10} | given))
    options = {
        "text": text_options(**given),
        "images": {"seed": given["seed"]},
        "manuals": manuals,
        "services": {name: manuals[name] for name in ("vocab_size", "seq_length")},
    }
    data_dir = pathlib.Path(values.data_dir)
    for kind in [kind for kind in manifest.KINDS if wanted[kind]]:
        started = time.monotonic()
        content, built = build(data_dir, kind, options[kind])
        if built:
            print(f"{data_dir / kind}: built in {time.monotonic() - started:.0f} s")
            print(summary(kind, content), flush=True)
        else:
            print(f"{data_dir / kind}: up to date", flush=True)


if __name__ == "__main__":
    define_flags()
    command_line.run("laptop-data", "data.laptop", main)
