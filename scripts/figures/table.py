"""table.md: the end points of runs as a Markdown table."""

import math
import statistics

from scripts import markdown
from scripts.arm import Arm
from trainers.schema.tasks import TASKS

PHASES = ("final", "ablation", "tune")
OPTIMIZERS = {"nigt": "NIGT", "adam": "Adam", "sgd": "SGD", "adamw": "AdamW", "lars": "LARS", "lamb": "LAMB"}
OPTIMIZERS |= {"adagrad": "AdaGrad", "adafactor_keras": "Adafactor"}
EVALUATIONS = ("selection", "validation", "validation_x", "validation_bn")


def table(rows: list[dict], curves: dict[str, list[dict]], command: str, commit: str) -> str:
    """table.md: the end points of every run, and the paper's beside them.

    Args:
      rows: Of runs.csv.
      curves: The rows of curves.csv by run_id.
      command, commit: What made it, and at which commit.
    """
    lines = [
        f"Made by `{command}` at {commit}, from runs at {commits(rows)}.",
        "",
        "Accuracies are on the validation data, in %: at w, the iterate, and at x, the gradient point (NIGT only).",
        "Best: the step with the highest accuracy on the selection data, and the validation accuracy at w there.",
        "The paper's numbers are those of its Figure 1, at its own scale: they are not a target for another scale.",
    ]
    for phase in PHASES:
        of_phase = [row for row in rows if row["phase"] == phase]
        if not of_phase:
            continue
        head = ["task", "scale", "optimizer", "η0", "bindings", "seed", "steps", "at w", "at x", "best", "wall time"]
        head += ["the paper's, at its scale"] if phase == "final" else []
        lines += ["", f"## {phase.capitalize()} runs", "", markdown.row(head), markdown.row(["---"] * len(head))]
        groups: dict[tuple, list[dict]] = {}
        for row in of_phase:
            setting = tuple(row[name] for name in ("task", "scale", "optimizer", "eta0"))
            groups.setdefault((*setting, Arm.of_run(row).settings), []).append(row)
        for group in groups.values():
            for row in group + ([_mean(group)] if len(group) > 1 else []):
                paper = TASKS[row["task"]].paper_final.get(row["optimizer"])
                cells = _cells(row, curves.get(row["run_id"], []))
                lines.append(markdown.row(cells + ([f"{paper:.2f}" if paper else "–"] if phase == "final" else [])))
    return "\n".join(lines) + "\n"


def commits(rows: list[dict]) -> str:
    """The commits of the runs, "commit 1a2b3c4, 5d6e7f8 (modified)"."""
    known = {(row["commit"][:7] or "unknown") + (" (modified)" if row["dirty"] == "true" else "") for row in rows}
    return f"commit{'s' if len(known) > 1 else ''} {', '.join(sorted(known))}"


def _cells(row: dict, curves: list[dict]) -> list[str]:
    values = {
        split: {int(c["step"]): float(c["value"]) for c in curves if (c["split"], c["name"]) == (split, row["metric"])}
        for split in EVALUATIONS
    }
    at_w = f"{100 * float(row['final_value']):.2f}" if row["final_value"] else row["status"]
    at_x = _percent(values["validation_x"].get(int(row["steps"]))) if row["steps"] else "–"
    selection = {step: value for step, value in values["selection"].items() if math.isfinite(value)}
    best = "–"
    if selection:
        step = max(sorted(selection), key=selection.__getitem__)
        best = f"{step:,} → {_percent(values['validation'].get(step))}"
    names = [TASKS[row["task"]].title, row["scale"], OPTIMIZERS.get(row["optimizer"], row["optimizer"])]
    steps = f"{int(row['steps']):,}" if row["steps"] else ""
    names += [f"{float(row['eta0']):g}", Arm.of_run(row).settings, row["seed"], steps]
    return [*names, row.get("range", at_w), at_x, best, _wall(row["wall_s"])]


def _mean(group: list[dict]) -> dict:
    """The row below the seeds of one setting."""
    values = [100 * float(row["final_value"]) for row in group if row["final_value"]]
    text = f"{statistics.fmean(values):.2f} ({min(values):.2f}–{max(values):.2f})" if values else "–"
    row = group[0] | {"run_id": "", "steps": "", "wall_s": "", "range": text}
    of = f" of {len(group)}" if len(values) < len(group) else ""
    return row | {"seed": f"mean (min–max), n = {len(values)}{of}"}


def _percent(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.2f}"


def _wall(seconds: str) -> str:
    """ "1 h 02 min", "3 min 20 s"; empty stays empty."""
    if not seconds:
        return ""
    total = round(float(seconds))
    return f"{total // 3600} h {total // 60 % 60:02d} min" if total >= 3600 else f"{total // 60} min {total % 60:02d} s"
