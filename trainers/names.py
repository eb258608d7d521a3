"""What the directories of runs are called: after the experiment, what is bound besides, and the seed."""

import ast
import hashlib
import pathlib
from collections.abc import Iterable

_LONGEST = 100  # characters of what is bound; a file's name has 255 bytes


def directory(gin_file: str, bindings: Iterable[str], seed: int) -> str:
    """Where a run goes that is not told where: "runs/laptop/resnet_nigt-eta0=0.003-s0".

    Args:
      gin_file, bindings: As trainers.gin_files.load takes them.
      seed: Of the run.
    """
    scale = pathlib.Path(gin_file).resolve().parent.name
    return f"runs/{scale}/{experiment(gin_file, bindings)}-s{seed}"


def experiment(gin_file: str, bindings: Iterable[str]) -> str:
    """The gin file's name, and what is bound, as in `point`: "resnet_nigt-eta0=0.003,beta=0.5".

    Where that is too long, or does not say all of a value, a digest of the bindings follows.
    """
    values = [_parse(binding) for binding in bindings]
    name = point(values)
    if len(name) > _LONGEST or not all(_is_told(*value) for value in values):
        name = f"{name[:_LONGEST]}-{hashlib.sha256(repr(values).encode()).hexdigest()[:6]}"
    return "-".join(filter(None, (pathlib.Path(gin_file).stem, name)))


def point(values: Iterable[tuple[str, object]]) -> str:
    """Of values by what they are bound to: "eta0=0.01,beta=0.9"; of a binding, what follows the last dot."""
    return ",".join(f"{_plain(_last(name))}={_plain(_short(value))}" for name, value in values)


def _parse(binding: str) -> tuple[str, object]:
    name, _, text = binding.partition("=")
    try:
        return name.strip(), ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return name.strip(), text.strip()


def _is_told(name: str, value: object) -> bool:
    """Whether `point` has all of the value, and its whole name but for the configurable's."""
    short = _short(value)
    is_whole = _parse(f"{name}={short}") == (name, value)
    return is_whole and "/" not in name and (_last(name), short) == (_plain(_last(name)), _plain(short))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "+-._") else "_" for c in text)
