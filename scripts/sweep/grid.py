"""The grid of a sweep: which values of which bindings, and the points that they make."""

import ast
import dataclasses
import itertools

import pydantic

from data.errors import InputError
from trainers import gin_files, names
from trainers.configurable import configurable

Value = pydantic.StrictBool | pydantic.StrictInt | pydantic.StrictFloat | pydantic.StrictStr
Axes = dict[str, tuple[Value, ...]]


@configurable
def grid(axes: Axes) -> Axes:
    """The values to try, by macro or binding: {"eta0": (1e-3, 1e-2)}."""
    for name, values in axes.items():
        if not values or len(set(map(repr, values))) < len(values):
            raise ValueError(f"grid.axes[{name!r}] = {values!r}: needs values, each once")
    if not axes:
        raise ValueError("grid.axes = {}: needs a macro and its values")
    return axes


@dataclasses.dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
      values: By macro or binding.
    """

    values: tuple[tuple[str, Value], ...]

    @property
    def name(self) -> str:
        """For a directory: "eta0=0.01,beta=0.9"; of a binding, what follows the last dot."""
        return names.point(self.values)

    @property
    def bindings(self) -> list[str]:
        """As --gin_param takes them."""
        return [f"{name}={value if _is_reference(value) else repr(value)}" for name, value in self.values]


def load(file: str, axes: list[str]) -> Axes:
    """The grid of a gin file, or that of the command line.

    Args:
      file: A gin file that binds grid.axes.
      axes: "eta0=1e-3,1e-2 beta=0.9,0.99": axes that take the place of the file's. With any, the file is not read.

    Raises:
      InputError: The file is missing or wrong, or an axis has no values or one twice.
    """
    if axes:
        return _checked(dict(map(_parse, gin_files.split(axes))), "SWEEP")
    return gin_files.read(file, [], grid, "name the grid's gin file with --grid")


def points(axes: Axes) -> list[Point]:
    """Every combination; the last axis changes fastest."""
    combinations = itertools.product(*axes.values())
    return [Point(tuple(zip(axes, values, strict=True))) for values in combinations]


def _checked(axes: Axes, where: str) -> Axes:
    try:
        return grid(axes)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _parse(text: str) -> tuple[str, tuple[Value, ...]]:
    """ "eta0=1e-3,1e-2" as ("eta0", (0.001, 0.01)); what is no number, True or False is text."""
    name, equals, values = text.partition("=")
    if not name.strip() or not equals or not values.strip():
        raise InputError(f"SWEEP: {text!r} is no axis; write eta0=1e-3,1e-2")
    return name.strip(), tuple(map(_value, values.split(",")))


def _value(text: str) -> Value:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        value = text.strip()
    if not isinstance(value, (bool, int, float, str)):
        raise InputError(f"SWEEP: {text.strip()!r} is neither number nor word")
    return value


def _is_reference(value: Value) -> bool:
    return isinstance(value, str) and value.startswith(("@", "%"))  # gin's
