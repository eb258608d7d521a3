"""Records from the official tar files of ILSVRC2012, by TensorFlow Datasets' own builder."""

import os

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
