"""Which variables an optimizer treats apart, by regular expressions on their names."""

import re
import warnings
from collections.abc import Sequence
from typing import Any

BIASES_AND_NORMS = (r"bias", r"beta", r"gamma")
_COPY = re.compile(r"/(replica|part)_\d+$")


def own_name(path: str) -> str:
    """A variable's last name, without those of the model and the layers around it and without what TensorFlow adds.

    "bert/debias/kernel:0" and, a replica's copy or a shard of it, "bert/debias/kernel/replica_1:0" give "kernel".
    """
    return _COPY.sub("", path.split(":")[0]).rsplit("/", 1)[-1]


def matches(patterns: Sequence[str], variables: Sequence[Any]) -> tuple[bool, ...]:
    """Of each variable, whether one of the patterns is found (`re.search`) in its own name."""
    return tuple(any(re.search(pattern, own_name(v.name)) for pattern in patterns) for v in variables)


def path_of(variable: Any) -> str:
    """A variable's name with those around it, as tf_keras and Keras 3 have them."""
    return str(getattr(variable, "path", variable.name))


def warn_of_surprises(argument: str, patterns: Sequence[str], variables: Sequence[Any]) -> None:
    """Warns of kernels that the patterns match, and of patterns that match only names of models or layers.

    Args:
      argument: What the user calls the patterns.
    """
    found = zip(variables, matches(patterns, variables), strict=True)
    kernels = [path_of(v) for v, matched in found if matched and "kernel" in own_name(v.name)]
    if kernels:
        warnings.warn(
            f"{argument} = {list(patterns)} matches the names of {len(kernels)} kernels: {_some(kernels)}; a kernel is "
            "seldom meant: take narrower patterns, such as '^bias$'",
            stacklevel=2,
        )
    for pattern in patterns:
        # The defaults come along with every model, also one that is called beta_vae and has no norm.
        if pattern in BIASES_AND_NORMS or any(matches([pattern], variables)):
            continue
        around = [path for path in map(path_of, variables) if re.search(pattern, path)]
        if around:
            warnings.warn(
                f"{argument}: {pattern!r} matches no variable: it is searched in a variable's own name, the last in "
                f"its path, and not in the whole of {_some(around)}; use such a last name, or 'beta' and 'gamma' for "
                "every norm",
                stacklevel=2,
            )


def _some(found: Sequence[str]) -> str:
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
