"""The manifest of a built data folder: what is in it, from which sources, made with which options."""

import hashlib
import json
import pathlib

from data.errors import InputError

FORMAT_VERSION = 2
NAME = "manifest.json"
KINDS = ("text", "images", "manuals", "services")


def sha256_of(path: pathlib.Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(folder: pathlib.Path, kind: str, files: list[str], fields: dict) -> dict:
    """Writes `folder`/manifest.json, with the size in bytes and the SHA-256 of each of `files`; returns its content.

    There is no time or place in it: the same options and sources give the same bytes.
    """
    content = {"format_version": FORMAT_VERSION, "kind": kind} | fields
    content["files"] = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in sorted(files)
    }
    (folder / NAME).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return content


def require(data_dir: str | pathlib.Path, kind: str) -> dict:
    """The manifest of `data_dir`/`kind`, after a check that every file is there with its size.

    Args:
      data_dir: the folder that `python -m data.laptop --data_dir` was given.
      kind: one of KINDS.

    Raises:
      InputError: it is missing, unreadable, of another format, or a file is missing or has another size.
    """
    folder = pathlib.Path(data_dir) / kind
    path = folder / NAME
    if not path.is_file():
        raise InputError(f"{path} is missing: run make laptop-data")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = (content["format_version"], content["kind"])
        sizes = {name: entry["bytes"] for name, entry in content["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a manifest ({error!r}): delete {folder} and run make laptop-data") from error
    if found != (FORMAT_VERSION, kind):
        raise InputError(
            f"{path}: format_version and kind are {found[0]} and {found[1]}, expected {FORMAT_VERSION} and {kind}: "
            "run make laptop-data"
        )
    for name, size in sizes.items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise InputError(f"{folder / name}: missing, or not {size} bytes long: run make laptop-data")
    return content


def is_current(data_dir: pathlib.Path, kind: str, expected: dict) -> bool:
    """Whether `data_dir`/`kind` is whole (every hash is right) and was made with the fields `expected`."""
    try:
        content = require(data_dir, kind)
    except InputError:
        return False
    if any(content.get(key) != value for key, value in expected.items()):
        return False
    return all(sha256_of(data_dir / kind / name) == entry["sha256"] for name, entry in content["files"].items())
