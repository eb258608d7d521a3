"""Picking records, and fitting slopes to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from data.errors import InputError

if TYPE_CHECKING:
    from scripts.theory.tasks import Record

FIT_FROM = 1000  # T from which slopes are fitted


@dataclasses.dataclass(frozen=True)
class Slope:
    """d log value / d log T, its standard error from those of the values, and the T that it was fitted over."""

    value: float
    stderr: float
    first: int
    last: int


def pick(records: Sequence[Record], **fields: Any) -> list[Record]:
    """The records with these fields, by T.

    Raises:
      InputError: There is none.
    """
    chosen = [r for r in records if all(getattr(r, name) == value for name, value in fields.items())]
    if not chosen:
        named = ", ".join(f"{name}={value}" for name, value in fields.items())
        raise InputError(f"measurements.csv: no record of {named}; make it anew with `make theory`")
    return sorted(chosen, key=lambda r: r.T)


def one(records: Sequence[Record], **fields: Any) -> Record:
    """The single record with these fields.

    Raises:
      InputError: There is none, or more.
    """
    chosen = pick(records, **fields)
    if len(chosen) > 1:
        raise InputError(f"measurements.csv: {len(chosen)} records of {fields}; make it anew with `make theory`")
    return chosen[0]


def slope(records: Sequence[Record]) -> Slope:
    """Least squares through log value over log T from FIT_FROM on; the values' errors are independent.

    Raises:
      InputError: Fewer than two T.
    """
    used = [r for r in records if r.T >= FIT_FROM]
    if len(used) < 2:
        raise InputError(f"measurements.csv: a slope needs two T from {FIT_FROM} on; make it anew with `make theory`")
    x = np.log([r.T for r in used])
    y = np.log([r.value for r in used])
    weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    relative = np.array([r.stderr / r.value for r in used])
    return Slope(float(weights @ y), float(np.sqrt(np.sum((weights * relative) ** 2))), used[0].T, used[-1].T)
