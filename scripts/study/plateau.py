"""When the runs of the laptop BERT leave their first plateau: steps, and Σ η_t until then."""

import numpy as np

from scripts import markdown
from scripts.study import choice, plan
from trainers import gin_files
from trainers.schema.schedules import Schedule, WarmupPolynomialDecay

LEFT = 0.20  # masked accuracy on validation, at w: the plateau, on which the commonest pieces are all, lies below


def rates(schedule: Schedule) -> np.ndarray:
    """η_t of each step of a run, of shape (train_steps,), by the formula in trainers/schema/schedules.py.

    Raises:
      TypeError: It is no WarmupPolynomialDecay.
    """
    if not isinstance(schedule, WarmupPolynomialDecay):
        raise TypeError(f"{schedule!r}: not a warmup_polynomial_decay")
    t = np.arange(schedule.train_steps)
    decayed = (1 - t / schedule.train_steps) ** schedule.power
    return schedule.eta0 * np.where(t < schedule.warmup_steps, t / max(schedule.warmup_steps, 1), decayed)


def accuracy(run: choice.Finished) -> dict[int, float]:
    """On validation, at w, in %, by step."""
    wanted = ("validation", run.row["metric"])
    return {int(c["step"]): 100 * float(c["value"]) for c in run.curves if (c["split"], c["name"]) == wanted}


def left_at(run: choice.Finished) -> int | None:
    """The step of the first evaluation that reaches LEFT; None if none does."""
    return min((step for step, value in accuracy(run).items() if value >= 100 * LEFT), default=None)


def section(finished: dict[str, choice.Finished]) -> list[str]:
    """Lines of study.md: every arm that starts from random weights and has been run."""
    lines = []
    for arm in (arm for arm in plan.ARMS if arm.task == "bert" and not plan.is_continued(arm)):
        trainings = choice.final_runs(arm, finished)
        runs = [run for training in trainings if (run := choice.finished_run(training, finished))]
        if not runs:
            continue
        schedule = gin_files.load(trainings[0].gin_file, list(trainings[0].bindings)).optimizer.learning_rate
        steps = [left_at(run) for run in runs]
        left = sorted(step for step in steps if step is not None)
        sums = np.cumsum(rates(schedule))
        at = sorted(sums[step - 1] for step in left)
        cells = [arm.name, f"{len(sums):,}", f"{len(left)} of {len(runs)}"]
        cells += [_range(left, "{:,}"), _range(at, "{:.1f}"), f"{sums[-1]:.1f}"]
        lines.append(cells)
    columns = ("arm", "steps", "runs that left it", "first evaluation at 20 % or more", "Σ η_t there", "Σ η_t in all")
    return [markdown.table(columns, lines)]


def _range(values: list, form: str) -> str:
    return " to ".join(form.format(value) for value in dict.fromkeys((values[0], values[-1]))) if values else "–"
