"""Builds the paper-scale images: `python -m data.imagenet --tars=DIR`, `--tfds=DIR` or `--records=DIR`.

It leaves the TFRecords of ILSVRC2012 and a manifest.json in `images/` of --data_dir: labels 0 … 999 whatever the source
counts from, 1 % of the training images held out for selection. Repeated after an interruption it goes on.
"""

import os

from absl import flags

from data import command_line
from data.errors import InputError

TARS = {  # bytes, as image-net.org hands them out
    "ILSVRC2012_img_train.tar": 147_897_477_120,
    "ILSVRC2012_img_val.tar": 6_744_924_160,
}


def prepare_from_tars(tars: str, tfds_dir: str, sizes: dict[str, int] | None = None) -> str:
    """Has TensorFlow Datasets' own builder, imagenet2012, read the official tar files.

    Args:
      tars: The folder with ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar: TensorFlow Datasets' manual directory.
      tfds_dir: Where it writes imagenet2012/5.1.0; what is whole there is left alone.
      sizes: Bytes by file name; None: TARS.

    Returns:
      The folder of the records.

    Raises:
      InputError: A tar file is missing or has another size.
    """
    for name, size in (TARS if sizes is None else sizes).items():
        path = os.path.join(tars, name)
        if not os.path.isfile(path):
            raise InputError(f"{path}: not there; download it from image-net.org (it takes an account) into {tars}")
        if os.path.getsize(path) != size:
            raise InputError(f"{path}: {os.path.getsize(path):,} bytes long, not {size:,}; download it again")
    import tensorflow_datasets as tfds  # takes seconds to import

    builder = tfds.builder("imagenet2012", data_dir=tfds_dir)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tars))
    return str(builder.data_path)


def define_flags() -> None:
    """Defines the options."""
    flags.DEFINE_string("data_dir", ".data/paper", "Folder to build images/ in; a path or gs://….")
    flags.DEFINE_string("tars", None, "Folder of the official tar files.")
    flags.DEFINE_string("tfds", None, "Folder of imagenet2012 as TensorFlow Datasets prepared it; a path or gs://….")
    flags.DEFINE_string("records", None, "Folder of existing TFRecords, train-00000-of-01024 …; a path or gs://….")
    flags.DEFINE_integer("workers", os.cpu_count(), "Processes.", lower_bound=1)


def main() -> None:
    """Builds what the flags ask for.

    Raises:
      InputError: The user has to mend something.
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
    from data import imagenet_build  # takes seconds to import

    target = os.path.join(values.data_dir, "images")
    content = imagenet_build.build(folder, target, values.workers)
    for split, counts in content["splits"].items():
        print(f"  images {split}: {counts['images']:,}")
    print(f"{target}: ready")


if __name__ == "__main__":
    define_flags()
    command_line.run("imagenet-data", "data.imagenet", main)
