"""Images a second of the training input on one core, beside the default loader and the decoder: results/bench/input.md.

python -m scripts.bench.input. The process keeps to one core. Three pipelines read the same TFRecords, in turn: the
paper's own (configs/paper/resnet.gin); tf-models-official's as its ImageNet experiment configures it; and one that does
nothing but decode each JPEG in full, the limit for whatever decodes whole images.
"""

import math
import os
import pathlib
import statistics
import sys
import tempfile
import time

import tensorflow as tf
from official.core import exp_factory, task_factory

from data import environment
from data.imagenet import photographs
from trainers import gin_files
from trainers.checkout import ROOT, describe_commit
from trainers.input import files as input_files
from trainers.running.atomic import write_atomically
from trainers.running.held import describe_device

ROUNDS = 7
IMAGES, SHARDS, BATCH = 400, 4, 64  # distinct cuts, each of its own size
WARM_UP, BATCHES = 6, 24  # of a round; in the first the buffers fill
# Images/s that ResNet-50 takes in: google/flax's ImageNet example reports 100 epochs in 4.4 h (v3-8), 2.1 h (v3-32).
V3_8, V3_32 = (1_281_167 * 100 / (hours * 3600) for hours in (4.4, 2.1))


def _ours(pattern: str) -> tf.data.Dataset:
    """Batches as `make resnet-nigt` reads them."""
    bindings = [
        f"resnet_classification.data_dir = '{pathlib.Path(pattern).parent}'",
        f"batch_size = {BATCH}",
        f"resnet_classification.shuffle_buffer = {IMAGES}",
        "train_steps = 1000000",
    ]
    task = task_factory.get_task(gin_files.load("configs/paper/resnet_nigt.gin", bindings).config.task)
    return task.build_inputs(task.task_config.train_data)


def _default(pattern: str) -> tf.data.Dataset:
    """Batches as tf-models-official's resnet_imagenet reads them, in bfloat16 as its own files for TPUs say."""
    config = exp_factory.get_exp_config("resnet_imagenet").task
    data = config.train_data
    data.override(
        {
            "input_path": pattern,
            "global_batch_size": BATCH,
            "shuffle_buffer_size": IMAGES,
            "seed": 1,
            "dtype": "bfloat16",
        }
    )
    return task_factory.get_task(config).build_inputs(data)


def _decoder(pattern: str) -> tf.data.Dataset:
    """Batches of one number of each image, decoded in full."""

    def decode(record: tf.Tensor) -> tf.Tensor:
        feature = tf.io.FixedLenFeature((), tf.string)
        encoded = tf.io.parse_single_example(record, {"image/encoded": feature})["image/encoded"]
        return tf.io.decode_jpeg(encoded, channels=3)[0, 0, 0]

    return tf.data.TFRecordDataset(input_files.list_files(pattern)).map(decode).batch(BATCH).repeat()


def _speed(dataset: tf.data.Dataset) -> float:
    """Images a second, of a new iterator: nothing of it runs while another one is timed."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    batches = iter(dataset.with_options(options))
    for _ in range(WARM_UP):
        next(batches)
    start = time.perf_counter()
    for _ in range(BATCHES):
        next(batches)
    return BATCHES * BATCH / (time.perf_counter() - start)


def main() -> int:
    """Measures, writes the table, returns the exit status."""
    environment.hide_gpus()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        images = photographs.train_images(IMAGES, 1000)
        photographs.write_records(pathlib.Path(scratch), "train", SHARDS, images, first_label=0)
        pattern = f"{scratch}/train-*"
        datasets = [build(pattern) for build in (_ours, _default, _decoder)]
        rounds = [[_speed(dataset) for dataset in datasets] for _ in range(ROUNDS + 1)][1:]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    size = statistics.mean(len(encoded) for _, encoded in images)
    names = ("this repository's", "tf-models-official's default", "`decode_jpeg` of the whole image, nothing else")
    lines = []
    for number, name in enumerate(names):
        ratios = sorted(speeds[0] / speeds[number] for speeds in rounds)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})" if number else "1"
        lines.append(f"| {name} | {medians[number]:,.0f} | {spread} |")
    cores_8, cores_32 = (math.ceil(speed / medians[0]) for speed in (V3_8, V3_32 / 4))
    text = "\n".join(
        [
            f"`python -m scripts.bench.input`, one core of {describe_device(None)},",
            f"{describe_commit()}, n = {ROUNDS} rounds in turn of {BATCHES * BATCH:,} images;",
            f"{IMAGES} distinct cuts of two photographs, each of its own size, {size / 1e3:.0f} kB in the mean",
            "(ImageNet's: 115 kB); the files are in the page cache.",
            "",
            "| pipeline, one thread | images/s (median) | this repository's / this one (range) |",
            *("| --- | --- | --- |", *lines),
            "",
            f"ResNet-50 has been reported to take in {V3_8:,.0f} images/s on a v3-8 and {V3_32:,.0f} on a v3-32",
            f"(google/flax's ImageNet example: 100 epochs in 4.4 and 2.1 h). At the speed above that is {cores_8}",
            f"such cores on the host of a v3-8 and {cores_32} on each of the four of a v3-32, if they do nothing else;",
            "ImageNet's larger images take more time each. On a host with fewer the TPU waits and the run takes",
            "longer, with the same result. Then take more hosts for as many cores, or encode the JPEGs anew at a",
            "smaller size, which is another experiment: the crops have other pixels.",
            "",
        ]
    )
    write_atomically(ROOT / "results/bench/input.md", text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
