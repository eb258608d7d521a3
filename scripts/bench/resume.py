"""What it costs to resume in the middle of an epoch, against reading the same files: results/bench/resume.md.

python -m scripts.bench.resume. Both in one process, in turn, on the bytes of the laptop data cut to the size of
ImageNet's JPEGs, and on the laptop's own records.
"""

import os
import pathlib
import statistics
import sys
import tempfile
import time

import tensorflow as tf
from official.core import config_definitions as cfg

from data import environment
from trainers.checkout import ROOT, describe_commit
from trainers.input import files as input_files
from trainers.input import order as input_order
from trainers.running.atomic import write_atomically
from trainers.running.held import describe_device

ROUNDS = 7
# The official train tar file's bytes and images.
IMAGENET_BYTES, IMAGENET_IMAGES = 147_897_477_120, 1_281_167
IMAGE = IMAGENET_BYTES // IMAGENET_IMAGES
FILES, IMAGES = 8, 2400


def _write_images(folder: pathlib.Path) -> str:
    """Records as long as ImageNet's mean JPEG, of real bytes; the glob of their files."""
    stream = b"".join(file.read_bytes() for file in sorted((ROOT / ".data/laptop/text").glob("train-*")))
    for number in range(FILES):
        with tf.io.TFRecordWriter(str(folder / f"train-{number}.tfrecord")) as writer:
            for record in range(number, IMAGES, FILES):
                start = record * 48_611 % (len(stream) - IMAGE)
                writer.write(stream[start : start + IMAGE])
    return str(folder / "train-*")


def _read(pattern: str) -> float:
    """Seconds to read every record of the files, one after the other."""
    start = time.perf_counter()
    for _ in tf.data.TFRecordDataset(input_files.list_files(pattern)).batch(64):
        pass
    return time.perf_counter() - start


def _resume(pattern: str, count: int, buffer: int) -> float:
    """Seconds until a run that goes on at the last record of the second epoch has it: counting and skipping."""
    params = cfg.DataConfig(input_path=pattern, global_batch_size=1, seed=1, shuffle_buffer_size=buffer, cycle_length=4)
    start = time.perf_counter()
    records = input_order.raw_records(params, 2 * count - 1, tf.distribute.InputContext())
    next(iter(records))
    return time.perf_counter() - start


def main() -> int:
    """Measures, writes the table, returns the exit status."""
    environment.hide_gpus()
    if not list((ROOT / ".data/laptop/text").glob("train-*")):
        print("bench_resume: .data/laptop/text is missing: run make laptop-data", file=sys.stderr)
        return 2
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        cases = (
            ("ImageNet-sized records", _write_images(pathlib.Path(scratch)), 1000),
            ("the laptop's text", str(ROOT / ".data/laptop/text/train-*"), 2000),
        )
        for name, pattern, buffer in cases:
            files = input_files.list_files(pattern)
            count = sum(map(input_files.count_records, files))
            size = sum(os.path.getsize(file) for file in files)
            times = [(_read(pattern), _resume(pattern, count, buffer)) for _ in range(ROUNDS + 1)][1:]
            read, resume = (statistics.median(column) for column in zip(*times, strict=True))
            ratios = sorted(b / a for a, b in times)
            lines.append(
                f"| {name} | {count:,} | {size / 1e6:,.0f} | {size / 1e6 / read:,.0f} | {size / 1e6 / resume:,.0f} | "
                f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
            )
            if name.startswith("ImageNet"):
                full = IMAGENET_BYTES / size * resume
    gigabytes = IMAGENET_BYTES / 1e9
    text = "\n".join(
        [
            f"`python -m scripts.bench.resume`, {describe_device(None)}, {describe_commit()},",
            f"n = {ROUNDS} rounds in turn, medians; the files are in the page cache.",
            "",
            "| records | number | MB | reading alone, MB/s | resuming, MB/s | time / reading (range) |",
            *("| --- | --- | --- | --- | --- | --- |", *lines),
            "",
            f"Resuming at the end of an epoch of ImageNet ({gigabytes:.0f} GB, {IMAGENET_IMAGES:,} images) is",
            f"by the first row a matter of {full:.0f} s, or of what the disk takes to read so much if that is",
            "longer; at a random step, of half of it. Earlier epochs are not read.",
            "",
        ]
    )
    write_atomically(ROOT / "results/bench/resume.md", text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
