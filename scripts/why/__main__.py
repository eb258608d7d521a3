"""Writes results/laptop/why.csv, why.md, why.png and .pdf from the study's runs: python -m scripts.why (`make why`).

The growth of the weights, the loss by frequency and Σ η_t; docs/why.md says what they mean. Needs the directories of
these runs, with their checkpoints: `make study` leaves them in runs/. Exit status: 0 done, 2 a run is not there.
"""

import json
import pathlib

import numpy as np
import pandas as pd
from absl import flags

from data import command_line, environment
from data.errors import InputError
from scripts import markdown
from scripts.figures import style
from scripts.figures import why as figure
from scripts.figures.collect import read_rows
from scripts.study import plan, plateau
from scripts.study.arm import RUNS
from scripts.why import frequency, growth
from trainers import gin_files
from trainers.checkout import describe_commit
from trainers.running import summary
from trainers.running.atomic import write_atomically

_COMMAND = "python -m scripts.why"
COLUMNS = ("arm", "run_id", "step", "what", "group", "value")
# Label and arm; every seed is measured at its last step.
ARMS = (
    ("Adam", plan.find("bert", "Adam, source")),
    ("LAMB", plan.find("bert", "LAMB, norms")),
    ("NIGT", plan.find("bert", "NIGT, norms")),
    ("NIGT, 24,000 steps", plan.find("bert", "NIGT, 24000 steps")),
)
_POSITIONS = "position embeddings"
# Whose schedules are summed: ours, and the paper's BERT-Base.
SCHEDULES = (
    ("NIGT, 6,000 steps", "configs/study/bert_nigt.gin", ("eta0=0.01",)),
    (
        "NIGT, 24,000 steps",
        "configs/study/bert_nigt.gin",
        (*plan.find("bert", "NIGT, 24000 steps").bindings, "eta0=0.004"),
    ),
    ("NIGT, the paper's BERT-Base", "configs/paper/bert_nigt.gin", ()),
)


def _define_flags() -> None:
    flags.DEFINE_string("runs", RUNS, "Where the study's runs are.")
    flags.DEFINE_string("output", "results/laptop", "Where the results go.")
    flags.DEFINE_bool("draw", False, "Measure nothing: draw the figure from why.csv.")


def measured(runs: pathlib.Path) -> list[dict[str, str]]:
    """The rows of why.csv.

    Raises:
      InputError: None of the runs is there, or one is broken.
    """
    rows: list[dict[str, str]] = []
    for label, arm in ARMS:
        for record in sorted(runs.glob(f"{arm.slug}-s*/run.json")):
            rows += _of_run(label, record.parent)
    if not rows:
        raise InputError(f"--runs={runs}: none of the runs is there; `make study` first")
    ours = None
    for label, gin_file, bindings in SCHEDULES:
        rates = plateau.rates(gin_files.load(gin_file, list(bindings)).optimizer.learning_rate)
        own = {"arm": label, "run_id": "", "step": str(len(rates)), "what": "rates"}
        ours = ours or rates.sum()
        sums = {"sum": rates.sum(), "sum of squares": (rates**2).sum()}
        sums["step with the first one's sum"] = float(np.searchsorted(np.cumsum(rates), ours) + 1)
        rows += [own | {"group": group, "value": f"{value:.4f}"} for group, value in sums.items()]
    return rows


def _of_run(label: str, run: pathlib.Path) -> list[dict[str, str]]:
    """One run's rows."""
    record = json.loads((run / "run.json").read_text())
    arm = f"{label}{figure.SEED}{record['seed']}"
    own = {"arm": arm, "run_id": record["run_id"], "step": str(record["steps"])}
    sizes, start = growth.norms(run), frequency.initial_norms(run)
    values = [("growth", kind, size / start[kind]) for kind, size in sizes[record["steps"]].items()]
    values += [("loss", str(number), loss) for number, loss in enumerate(frequency.losses(run, record["steps"]), 1)]
    values += [("positions", str(step), of[_POSITIONS] / start[_POSITIONS]) for step, of in sizes.items()]
    _, accuracy = summary.curves(run / "metrics.csv", record["metric"])
    values += [("accuracy", str(step), 100 * value) for step, value in accuracy.items() if step in sizes]
    return [own | {"what": what, "group": group, "value": f"{value:.4f}"} for what, group, value in values]


def page(rows: list[dict[str, str]]) -> str:
    """why.md."""

    def found(what: str) -> tuple[dict[str, str], list[str], dict[tuple[str, str], str]]:
        """The steps of each run, what was measured of them, and the values."""
        own = [row for row in rows if row["what"] == what]
        values = {(row["arm"], row["group"]): row["value"] for row in own}
        return {row["arm"]: row["step"] for row in own}, list(dict.fromkeys(row["group"] for row in own)), values

    def tabulated(what: str, head: str) -> str:
        runs, groups, values = found(what)
        lines = [[run, f"{int(runs[run]):,}", *(_shown(values.get((run, group))) for group in groups)] for run in runs]
        return f"## {head}\n\n{markdown.table(['', 'steps', *groups], lines)}\n"

    def by_step(what: str, head: str) -> str:
        runs, groups, values = found(what)
        steps = sorted(groups, key=int)
        lines = [[f"{int(step):,}", *(_shown(values.get((run, step))) for run in runs)] for step in steps]
        return f"## {head}\n\n{markdown.table(['step', *runs], lines)}\n"

    measured_arms = {row["arm"].partition(figure.SEED)[0] for row in rows if row["run_id"]}
    missing = [label for label, _ in ARMS if label not in measured_arms]
    return "\n".join(
        [
            f"Made by `{_COMMAND}` at {describe_commit()}. Every run stands alone, no verdict.",
            *([f"Not run: {', '.join(missing)}."] if missing else []),
            "",
            tabulated("growth", "‖w‖ at the end over ‖w‖ at the start"),
            tabulated("loss", "Loss at w on validation, by tenths of the masked tokens, the most frequent first"),
            tabulated("rates", "Σ η_t and Σ η_t²"),
            by_step("positions", "‖w‖ of the position embeddings over that at the start, by step"),
            by_step("accuracy", "Validation accuracy at w, in %, at these steps"),
            "![growth of the weights, and loss by frequency](why.png)\n",
        ]
    )


def _shown(value: str | None) -> str:
    if not value:
        return "–"
    return f"{float(value):,.0f}" if float(value) >= 1000 else f"{float(value):.2f}"  # a step, or a measurement


def main() -> int:
    """Writes the files and returns the exit status."""
    environment.hide_gpus()
    output, written = pathlib.Path(flags.FLAGS.output), []
    if flags.FLAGS.draw:
        rows = read_rows(output / "why.csv", COLUMNS)
    else:
        rows, written = measured(pathlib.Path(flags.FLAGS.runs)), [output / "why.csv", output / "why.md"]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        write_atomically(written[0], table.to_csv(index=False, lineterminator="\n"))
        write_atomically(written[1], page(rows))
    print("why:", *written, *style.save(figure.draw(rows), output / "why.png"))
    return 0


if __name__ == "__main__":
    _define_flags()
    command_line.run("why", "scripts.why", main)
