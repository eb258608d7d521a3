"""Builds one part of the laptop-scale data, unless it is there, whole and with the same options."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from data import manifest
from data.errors import InputError
from data.laptop import corpus, images, manuals, services

_BUILDERS = {"text": corpus, "images": images, "manuals": manuals, "services": services}

LEAST = {"vocab_size": 6, "seq_length": 3, "max_predictions": 1, "dupe_factor": 1, "seed": 0}


def text_options(
    vocab_size: int = 4096, seq_length: int = 128, max_predictions: int = 20, dupe_factor: int = 5, seed: int = 0
) -> dict[str, int]:
    """The options of the text, checked.

    Raises:
      InputError: one is out of range.
    """
    options = dict(
        vocab_size=vocab_size,
        seq_length=seq_length,
        max_predictions=max_predictions,
        dupe_factor=dupe_factor,
        seed=seed,
    )
    for name, least in LEAST.items():
        if options[name] < least:
            raise InputError(f"--{name}={options[name]}: has to be at least {least}")
    if max_predictions > seq_length - 2:
        raise InputError(f"--max_predictions={max_predictions}: has to be at most seq_length - 2 = {seq_length - 2}")
    return options


def build(data_dir: pathlib.Path, kind: str, options: dict[str, int]) -> tuple[dict, bool]:
    """Builds `data_dir`/`kind` unless it is there, whole, with the same options and sources.

    It is built beside its place and moved there when it is whole; a second process waits for the first.

    Args:
      data_dir: made if absent.
      kind: one of manifest.KINDS.
      options: of the kind's `build`.

    Returns:
      The manifest, and whether anything was built.

    Raises:
      InputError: a source cannot be had or is damaged, or a folder in the way was not built by this program.
    """
    builder = _BUILDERS[kind]
    target = data_dir / kind
    with _lock(data_dir):
        if manifest.is_current(data_dir, kind, builder.expected(options)):
            return manifest.require(data_dir, kind), False
        if target.exists() and not (target / manifest.NAME).is_file() and any(target.iterdir()):
            raise InputError(f"{target}: has files but no {manifest.NAME}: move it away, then run make laptop-data")
        for stale in data_dir.glob(f".{kind}-building-*"):
            shutil.rmtree(stale)
        made = not data_dir.exists()
        data_dir.mkdir(parents=True, exist_ok=True)
        scratch = pathlib.Path(tempfile.mkdtemp(prefix=f".{kind}-building-", dir=data_dir))
        try:
            folder = scratch / kind
            folder.mkdir()
            content = builder.build(folder, data_dir.parent / "downloads", options)
            if target.exists():
                os.rename(target, scratch / "replaced")
            os.rename(folder, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            if made:
                with contextlib.suppress(OSError):  # not empty: that is what was to be built
                    data_dir.rmdir()
    return content, True


@contextlib.contextmanager
def _lock(data_dir: pathlib.Path) -> Iterator[None]:
    """Keeps other builders of the same folder waiting."""
    try:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        stream = open(data_dir.parent / f".{data_dir.name}.lock", "w", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--data_dir={data_dir}: cannot be written to ({error.strerror}): choose another") from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def summary(kind: str, content: dict) -> str:
    """What a manifest counts, one line a split."""
    lines = []
    for split, counts in content["splits"].items():
        shown = (f"{value:,} {name.replace('_', ' ')}" for name, value in counts.items() if isinstance(value, int))
        lines.append(f"  {kind} {split}: {', '.join(shown)}")
    for split, accuracy in content.get("commonest_token_accuracy", {}).items():
        lines.append(f"  always {content['commonest_token']!r} is right on {accuracy:.2%} of {split}")
    return "\n".join(lines)
