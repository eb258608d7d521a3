"""Checkpoints of an exported run: folders ckpt-STEP of files small enough to be copied anywhere."""

import os
import pathlib
import re
import shutil
import zipfile
from collections.abc import Callable

import numpy as np

from scripts.exported.bundle import packed, unpacked

LARGEST_FILE = 16 * 2**20  # bytes
_NAME = re.compile(r"^ckpt-(\d+)$")


def save(directory: pathlib.Path, step: int, state: dict[str, np.ndarray], keep: int) -> None:
    """Writes ckpt-STEP, whole or not at all, then removes all but the newest `keep`."""
    content, final = packed(state), directory / f"ckpt-{step}"
    partial = directory / f".{final.name}.partial"  # as trainers/running/held.py removes after a kill
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for number, begin in enumerate(range(0, len(content), LARGEST_FILE)):
        with open(partial / f"{number:03d}", "wb") as file:
            file.write(content[begin : begin + LARGEST_FILE])
            file.flush()
            os.fsync(file.fileno())
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    for old in sorted(_steps(directory), reverse=True)[keep:]:
        shutil.rmtree(directory / f"ckpt-{old}")


def newest(directory: pathlib.Path, warn: Callable[[str], None]) -> dict[str, np.ndarray] | None:
    """The state of the newest whole checkpoint; None without one. A damaged one is set aside, and `warn` is told."""
    for step in sorted(_steps(directory), reverse=True):
        folder = directory / f"ckpt-{step}"
        try:
            return unpacked(b"".join(part.read_bytes() for part in sorted(folder.iterdir())))
        except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError) as error:
            warn(f"{folder} is damaged ({error}); trying the one before")
            shutil.rmtree(f"{folder}.damaged", ignore_errors=True)
            folder.rename(f"{folder}.damaged")
    return None


def _steps(directory: pathlib.Path) -> list[int]:
    return [int(match[1]) for path in directory.glob("ckpt-*") if (match := _NAME.match(path.name))]
