"""metrics.csv: every number that a run logs, one a row."""

import csv
import io
import pathlib
import time

from data.errors import InputError
from trainers.running.atomic import write_atomically

COLUMNS = ("step", "examples", "wall_s", "split", "name", "value")


class MetricsLog:
    """metrics.csv as the run goes. The file is replaced as a whole at each write, so it never holds a half of one.

    Attributes:
      path: Of the file.
    """

    def __init__(self, path: pathlib.Path, start_step: int, batch_size: int):
        """Reads the file and drops the rows of steps after start_step, which the run will take again.

        Args:
          path: Of metrics.csv.
          start_step: The checkpoint's step; 0 for a new run.
          batch_size: Examples a step.

        Raises:
          InputError: The file is not a metrics.csv.
        """
        self.path, self._batch_size, self._start_step = path, batch_size, start_step
        rows = []
        if path.exists():
            try:
                with open(path, newline="") as file:
                    rows = [row for row in csv.DictReader(file) if int(row["step"]) <= start_step]
                taken = max((float(row["wall_s"]) for row in rows), default=0.0)
                self._values = [(int(r["step"]), r["split"], r["name"], float(r["value"])) for r in rows]
            except (KeyError, TypeError, ValueError, csv.Error) as error:
                raise InputError(f"{path}: not a metrics.csv ({error}); remove the directory and run again") from error
        else:
            taken, self._values = 0.0, []
        self._text = io.StringIO()
        writer = csv.DictWriter(self._text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self._writer = csv.writer(self._text, lineterminator="\n")
        # A clock that is set back or forward in between does not matter to it.
        self._start = time.monotonic() - taken
        write_atomically(path, self._text.getvalue())

    def write(self, step: int, values: dict[str, dict[str, float]]) -> None:
        """One row a value, all of them at once: {"validation": {"accuracy": 0.91}}."""
        wall = time.monotonic() - self._start
        for split, of_split in values.items():
            for name, value in of_split.items():
                row = (step, step * self._batch_size, f"{wall:.3f}", split, name, repr(float(value)))
                self._writer.writerow(row)
        write_atomically(self.path, self._text.getvalue())

    def has_evaluation(self, step: int) -> bool:
        """Whether the file that was opened held the evaluation of a step."""
        return any(at == step and split == "validation" for at, split, _, _ in self._values)

    def best(self, split: str, name: str) -> float | None:
        """The highest value in the file that was opened; None without one."""
        return max((value for _, s, n, value in self._values if (s, n) == (split, name)), default=None)
