"""How a run goes and went, for who started it: a line an evaluation, and at the end what came out and where it is."""

import csv
import pathlib
import shlex
import sys

from absl import logging

from data.errors import InputError
from trainers.checkout import ROOT

DONE = "done: %s"
Curve = dict[int, float]  # by step


def curves(file: pathlib.Path, metric: str) -> tuple[Curve, Curve]:
    """The metric on the selection and on the validation data at w, as metrics.csv has it so far.

    Raises:
      InputError: The file is not a metrics.csv.
    """
    found: dict[str, Curve] = {"selection": {}, "validation": {}}
    if file.exists():
        try:
            with open(file, newline="") as stream:
                for row in csv.DictReader(stream):
                    if row["split"] in found and row["name"] == metric:
                        found[row["split"]][int(row["step"])] = float(row["value"])
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise InputError(f"{file}: not a metrics.csv ({error}); remove the directory and run again") from error
    return found["selection"], found["validation"]


def evaluation(file: pathlib.Path, metric: str) -> str:
    """The last evaluation: "step 400  selection 0.1523  validation 0.1498  best so far"."""
    selection, validation = curves(file, metric)
    step, best = max(selection), best_step(selection)
    told = "best so far" if step == best else f"best {selection[best]:.4f} at {best}"
    return f"step {step}  selection {selection[step]:.4f}  validation {validation[step]:.4f}  {told}"


def best_step(selection: Curve) -> int:
    """The step of best_ckpt/: of several evaluations with the highest value, the first."""
    return max(selection, key=lambda step: (selection[step], -step))


def show_end(directory: pathlib.Path, metric: str) -> None:
    """Logs what `end` finds, in one line; on a terminal there is a line for each in its place (log.py)."""
    found = end(directory, metric)
    logging.info(DONE, "; ".join(f"{name} {value}" for name, value in found.items()))
    if sys.stderr.isatty():
        lines = (f"  {name:15}  {value}" for name, value in found.items())
        print("done", *lines, sep="\n", file=sys.stderr, flush=True)


def end(directory: pathlib.Path, metric: str) -> dict[str, str]:
    """What came out, where it is and what comes next; without evaluations, the rest."""
    selection, validation = curves(directory / "metrics.csv", metric)
    found = {}
    if validation:
        best, last = best_step(selection), max(validation)
        found["validation"] = f"{validation[last]:.4f} at the end (step {last})"
        found["best"] = f"{validation[best]:.4f} at step {best}, chosen by selection"
    places = {"curves": "metrics.csv", "best checkpoint": "best_ckpt", "export": "export"}
    found |= {name: str(directory / place) for name, place in places.items() if (directory / place).exists()}
    is_shown = directory.resolve().is_relative_to(ROOT / "runs") and pathlib.Path.cwd() == ROOT
    alone = f"python -m tensorboard.main {shlex.quote(f'--logdir={directory}')}"
    return found | {"next": "make tensorboard" if is_shown else alone}
