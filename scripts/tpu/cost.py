"""What a launch will cost, as far as it can be said before it."""

import csv
import dataclasses

from data.errors import InputError
from scripts.tpu.request import Request
from scripts.tpu_check import report
from scripts.tpu_check.programs import MODELS
from trainers.checkout import ROOT

_TABLE = ROOT / "results" / "tpu_check" / "v3.csv"


@dataclasses.dataclass(frozen=True)
class Cost:
    """Hours of one run, where they come from, and the price of a core-hour, in a currency."""

    hours: float
    source: str
    cores: int
    price_per_core_hour: float
    max_hours: float
    currency: str

    def line(self, runs: int = 1) -> str:
        """For the user."""
        all_cores = runs * self.cores * self.price_per_core_hour
        times = f"{runs} runs × " if runs > 1 else ""
        return (
            f"{times}{self.cores} cores × {self.price_per_core_hour:g} {self.currency} a core-hour × "
            f"{self.hours:.1f} h ({self.source}) = {all_cores * self.hours:,.2f} {self.currency}; at most "
            f"{all_cores * self.max_hours:,.2f} {self.currency} in --max_hours={self.max_hours:g}; storage and traffic "
            "besides"
        )


def estimate(request: Request, steps: int, batch_size: int, expected_hours: float | None, currency: str) -> Cost:
    """Of one run.

    Args:
      request: Which.
      steps: Of the run.
      batch_size: Over all cores.
      expected_hours: What the user expects; None: the roofline's lower bound, from results/tpu_check/v3.csv.
      currency: Of the machine's price.

    Raises:
      InputError: There is no such row, and no expected_hours.
    """
    machine = request.machine
    shared = (machine.cores, machine.price_per_core_hour, request.max_hours, currency)
    if expected_hours is not None:
        return Cost(expected_hours, "--expected_hours", *shared)
    task, optimizer = request.experiment.split("_")
    wanted = (MODELS[task], optimizer, str(batch_size // machine.cores))
    rows = list(csv.DictReader(_TABLE.open(newline=""))) if _TABLE.exists() else []
    for row in rows:
        if (row["program"], row["optimizer"], row["per_core_batch"]) == wanted:
            answer = {"flops": float(row["flops"]), "bytes_accessed": float(row["bytes_accessed"]), "steps": steps}
            return Cost(report.run_hours(answer), "a lower bound, from results/tpu_check", *shared)
    raise InputError(
        f"--expected_hours has no value: results/tpu_check/v3.csv has no row for {wanted[0]}, {wanted[1]}, "
        f"{wanted[2]} a core; give it"
    )
