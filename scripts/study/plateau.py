"""When the runs of the laptop BERT leave their first plateau: steps, and Σ η_t until then."""

from scripts import markdown
from scripts.study import choice, plan
from trainers import gin_files
from trainers.schema.schedules import WarmupPolynomialDecay

LEFT = 0.20  # masked accuracy on validation, at w: the plateau, on which the commonest pieces are all, lies below


def summed_rates(schedule: WarmupPolynomialDecay, steps: int) -> tuple[float, float]:
    """Σ η_t and Σ η_t² over a run's first steps (trainers/schema/schedules.py has the formula)."""
    total = squares = 0.0
    for t in range(steps):
        rate = schedule.eta0 * (1 - t / schedule.train_steps) ** schedule.power
        if t < schedule.warmup_steps:
            rate = schedule.eta0 * t / schedule.warmup_steps
        total, squares = total + rate, squares + rate**2
    return total, squares


def left_at(run: choice.Finished) -> int | None:
    """The step of the first evaluation that reaches LEFT; None if none does."""
    wanted = ("validation", run.row["metric"])
    steps = [int(c["step"]) for c in run.curves if (c["split"], c["name"]) == wanted and float(c["value"]) >= LEFT]
    return min(steps, default=None)


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
        at = sorted(summed_rates(schedule, step)[0] for step in left)
        whole = summed_rates(schedule, schedule.train_steps)[0]
        cells = [arm.name, f"{schedule.train_steps:,}", f"{len(left)} of {len(runs)}"]
        cells += [_range(left, "{:,}"), _range(at, "{:.1f}"), f"{whole:.1f}"]
        lines.append(cells)
    columns = ("arm", "steps", "runs that left it", "first evaluation at 20 % or more", "Σ η_t there", "Σ η_t in all")
    return [markdown.table(columns, lines)]


def _range(values: list, form: str) -> str:
    return " to ".join(form.format(value) for value in dict.fromkeys((values[0], values[-1]))) if values else "–"
