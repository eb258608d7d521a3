"""A bundle: one run's programs, state and data as files, and manifest.json, which says what they are."""

import hashlib
import io
import json
import lzma
import pathlib

import numpy as np

from data.errors import InputError
from trainers.running.atomic import write_atomically

FORMAT = 1
MANIFEST = "manifest.json"
SPLITS = ("selection", "validation")  # that are evaluated
_FIELDS = ("format", "files", "commit", "dirty", "config", "command", "run", "settings", "signature")


class Bundle:
    """One that was read and found whole.

    Attributes:
      folder: Its directory.
      manifest: What it says of itself: `run` for run.json, `config` as gin text, `settings` of the loop of steps, and
        the `signature` of its programs (scripts/exported/export.py).
      digest: SHA-256 of manifest.json, which has the hashes of all else.
    """

    def __init__(self, folder: pathlib.Path):
        """Checks every file's hash.

        Raises:
          InputError: It is no bundle, of another version, or damaged.
        """
        self.folder = folder
        file = folder / MANIFEST
        try:
            content = file.read_bytes()
            self.manifest = json.loads(content)
            missing = [name for name in _FIELDS if name not in self.manifest]
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}; name the folder that `make export` wrote") from error
        except (ValueError, TypeError) as error:
            raise InputError(f"{file}: not a manifest ({error}); copy or export the bundle again") from error
        if missing or self.manifest["format"] != FORMAT:
            wrong = f"has no {missing[0]}" if missing else f"format is {self.manifest['format']}, not {FORMAT}"
            raise InputError(f"{file}: {wrong}; export the bundle again with this version")
        self.digest = hashlib.sha256(content).hexdigest()
        for name, digest in self.manifest["files"].items():
            try:
                found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            except OSError as error:
                raise InputError(f"{folder / name}: {error.strerror}; copy the bundle again") from error
            if found != digest:
                raise InputError(f"{folder / name}: is not the file that was exported; copy the bundle again")

    def program(self, name: str) -> bytearray:
        """A program's file, as jax.export.deserialize takes it."""
        return bytearray(lzma.decompress((self.folder / f"{name}.jax.xz").read_bytes()))

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """ "state", "train", or a split of SPLITS: its arrays by name."""
        return unpacked(lzma.decompress((self.folder / f"{name}.npz.xz").read_bytes()))


def write_compressed(file: pathlib.Path, content: bytes) -> None:
    """Writes a file of a bundle, NAME.jax.xz or NAME.npz.xz."""
    file.write_bytes(lzma.compress(content))


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays by name as the bytes of an .npz file, which has a checksum of each."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def unpacked(content: bytes) -> dict[str, np.ndarray]:
    """What `packed` packed.

    Raises:
      ValueError, OSError, zipfile.BadZipFile: It is damaged.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def finish(folder: pathlib.Path, manifest: dict) -> None:
    """Writes manifest.json, with the hash of every other file: the folder is a bundle from here on."""
    files = sorted(file for file in folder.iterdir() if file.name != MANIFEST)
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    write_atomically(folder / MANIFEST, json.dumps({"format": FORMAT} | manifest | {"files": hashes}, indent=1) + "\n")
