"""Builds the paper-scale images: `python -m data.imagenet --tars=DIR`, `--tfds=DIR` or `--records=DIR`.

It leaves the TFRecords of ILSVRC2012 and a manifest.json in `images/` of --data_dir: labels 0 … 999 whatever the source
counts from, 1 % of the training images held out for selection. Repeated after an interruption it goes on.
"""

import os
import shlex

from absl import flags

from data import command_line
from data.errors import InputError
from data.imagenet.tars import prepare_from_tars


def define_flags() -> None:
    """Defines the options."""
    flags.DEFINE_string("data_dir", ".data/paper", "Folder to build images/ in; a path or gs://….")
    flags.DEFINE_string("tars", None, "Folder of the official tar files.")
    flags.DEFINE_string("tfds", None, "Folder of imagenet2012 as TensorFlow Datasets prepared it; a path or gs://….")
    flags.DEFINE_string("records", None, "Folder of existing TFRecords, train-00000-of-01024 …; a path or gs://….")
    flags.DEFINE_integer("workers", os.cpu_count(), "Processes of Beam's FnApiRunner.", lower_bound=1)
    flags.DEFINE_string("beam", "", "Beam's pipeline options, for another runner: '--runner=DaskRunner …'.")


def main() -> None:
    """Builds what the flags ask for.

    Raises:
      InputError: The user has to mend something.
      RunError: The pipeline failed.
    """
    values = flags.FLAGS
    sources = {name: values[name].value for name in ("tars", "tfds", "records") if values[name].value}
    if len(sources) != 1:
        raise InputError(
            "name one source of ILSVRC2012: TARS=folder of the two official tar files (image-net.org, with an "
            "account), TFDS=folder that TensorFlow Datasets prepared, or RECORDS=folder of existing TFRecords"
        )
    ((kind, folder),) = sources.items()
    if kind == "tars":
        folder = prepare_from_tars(folder, os.path.join(values.data_dir, "tfds"))
    from data.imagenet import build  # takes seconds to import

    target = os.path.join(values.data_dir, "images")
    content = build.build(folder, target, values.workers, shlex.split(values.beam))
    for split, counts in content["splits"].items():
        print(f"  images {split}: {counts['images']:,}")
    print(f"{target}: ready")


if __name__ == "__main__":
    define_flags()
    command_line.run("imagenet-data", "data.imagenet", main)
