"""The CSV files of results/theory, written from records and read back."""

import csv
import dataclasses
import io
import pathlib
import typing
from collections.abc import Iterable, Sequence

from data.errors import InputError
from nigt.theory import methods, problems
from scripts.theory.tasks import Record

RATE_COLUMNS = (
    *("objective", "noise", "sigma", "method", "dim", "T", "replicates", "mean_grad_norm", "stderr", "bound"),
)
RECORD_COLUMNS = tuple(field.name for field in dataclasses.fields(Record))
_ORDER = ("nsgd", "nsgdm", "nigt", "sgd", "igt", "storm", "adaptive", "adaptive_corrected")


def rate_rows(records: Iterable[Record]) -> list[dict[str, str]]:
    """Rows of rates.csv: the mean of ‖∇F(w_t)‖ over t ≤ T and replicates, and the paper's bound where it gives one."""
    rows = []
    for record in records:
        if record.experiment != "rates" or record.quantity != "mean_grad_norm":
            continue
        oracle = problems.oracle(record.objective, record.noise, record.sigma, record.dim, record.batch)
        bound = methods.bound_of(record.method, oracle, record.T)
        rows.append(
            {
                "objective": record.objective,
                "noise": record.noise,
                "sigma": f"{oracle.sigma:.6g}",
                "method": record.method,
                "dim": str(record.dim),
                "T": str(record.T),
                "replicates": str(record.replicates),
                "mean_grad_norm": f"{record.value:.6g}",
                "stderr": f"{record.stderr:.3g}",
                "bound": "" if bound is None else f"{bound:.6g}",
            }
        )
    return sorted(rows, key=lambda r: (r["objective"], r["noise"], _ORDER.index(r["method"]), int(r["T"])))


def record_rows(records: Iterable[Record]) -> list[dict[str, str]]:
    """Rows of measurements.csv: every record."""
    return [
        {
            name: f"{value:.10g}" if isinstance(value, float) else str(value)
            for name, value in dataclasses.asdict(record).items()
        }
        for record in records
    ]


def read_records(path: pathlib.Path) -> list[Record]:
    """The records of a measurements.csv.

    Raises:
      InputError: The file or a column is missing, or a value is no number.
    """
    types = typing.get_type_hints(Record)
    records = []
    for number, row in enumerate(read(path, RECORD_COLUMNS), start=2):
        try:
            records.append(Record(**{name: types[name](row[name]) for name in RECORD_COLUMNS}))
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}; make it anew with `make theory`") from error
    return records


def read(path: pathlib.Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with these columns.

    Raises:
      InputError: It is missing or has other columns.
    """
    if not path.exists():
        raise InputError(f"{path} is missing: make it with `make theory`")
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != tuple(columns):
            raise InputError(
                f"{path}: columns are {reader.fieldnames}, not {list(columns)}; make it with `make theory`"
            )
        return list(reader)


def as_csv(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> str:
    """The text of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
