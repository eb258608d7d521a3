"""study.md and the figures, from runs.csv and curves.csv."""

import collections
import csv
import math
import pathlib
import statistics

from scripts import markdown
from scripts.figures import arms as arms_figure
from scripts.figures import figure1, lengths, momentum, style
from scripts.figures import sweep as sweep_figure
from scripts.figures.table import commits
from scripts.study import choice, plan, plateau
from scripts.study.arm import Arm
from scripts.study.comparison import LEVEL, MARGIN, Comparison, Judged, Sample, bootstrap, coverage, shown
from scripts.sweep.grid import Point
from trainers.checkout import ROOT
from trainers.running.atomic import write_atomically
from trainers.schema.tasks import TASKS

# Arms of the ResNet by name, and what the figures call them: NIGT without one of its parts, and other optimizers.
_PARTS = {
    "no transport": "no transport (x = w)",
    "global norm": "one norm over all layers",
    "no weight norm": "no scaling by ‖w‖",
    "no weight norm, factor 1": "no scaling by ‖w‖,\nbiases at η₀",
    "no normalization": "neither normalized nor scaled",
    "no normalization, factor 1": "neither normalized nor scaled,\nbiases at η₀",
    "no normalization, no transport": "neither normalized nor scaled,\nno transport",
    "no normalization, no transport, factor 1": "neither normalized nor scaled,\nno transport, biases at η₀",
    "no warm-up": "no warm-up",
}
_CALLED = {
    "no transport": "transport",
    "global norm": "a norm for each layer",
    "no weight norm": "scaling by ‖w‖",
    "no normalization": "normalization",
    "no warm-up": "warm-up",
}
_OTHERS = {"SGD with NIGT's schedule": "SGD"} | {arm.name: arm.name for arm in plan.arms_of("resnet baselines")}
_COLUMNS = ["arm", "point", "n", "accuracy at w, mean [bootstrap 95 %]", "seeds", "beside", "beside − arm [Welch 95 %]"]
_COLUMNS += ("p (Holm)", "beside is", "[bootstrap 95 %]", "steps", "wall time, evaluations included", "state")


def sample(arm: Arm, finished: dict[str, choice.Finished]) -> Sample:
    """The final runs that there are, validation accuracy at w after the last step."""
    runs = [run for t in choice.final_runs(arm, finished) if (run := choice.finished_run(t, finished))]
    ended = [run for run in runs if run.row["status"] == "ok"]
    values = tuple(100 * run.last("validation") for run in ended)
    return Sample(values, len(runs) - len(ended), len(arm.seeds))


def judge(ours: Arm, theirs: Arm, finished: dict[str, choice.Finished]) -> Judged:
    """The final runs of one beside another's, among their family."""
    pairs = plan.family(ours, theirs)
    family = [Comparison(*(sample(arm, finished) for arm in pair)) for pair in pairs]
    contrast = [_contrast(theirs.group, finished)] if theirs.group in plan.CONTRASTS else []
    return Judged(family[pairs.index((ours, theirs))], (*family, *contrast))


def judge_contrast(group: str, finished: dict[str, choice.Finished]) -> Judged:
    """What one arm of the group gains over another beside what a third gains over a fourth (plan.CONTRASTS)."""
    return Judged(_contrast(group, finished), judge(*plan.CONTRASTS[group][0], finished).family)


def _contrast(group: str, finished: dict[str, choice.Finished]) -> Comparison:
    return Comparison(*(_gain(*(sample(arm, finished) for arm in pair)) for pair in plan.CONTRASTS[group]))


def _gain(ours: Sample, theirs: Sample) -> Sample:
    """The differences seed by seed; none before all seeds have been run, or where some diverged."""
    if ours.diverged or theirs.diverged or not (ours.is_complete and theirs.is_complete):
        return Sample((), ours.diverged + theirs.diverged, ours.planned)
    gains = tuple(one - other for one, other in zip(ours.values, theirs.values, strict=True))
    return Sample(gains, 0, ours.planned)


def write(output: pathlib.Path, command: str) -> list[pathlib.Path]:
    """Writes study.md and its figures into the results directory, as far as there are runs; returns the files.

    Args:
      command: For the first line.
    """
    finished = choice.read(output)
    lines = [f"Made by `{command}`, from runs at {commits([run.row for run in finished.values()])}.", ""]
    hours = sum(float(run.row["wall_s"]) for run in finished.values()) / 3600
    lines += [
        "[PROTOCOL.md](PROTOCOL.md) has the rules. `make study` runs what is “not run”.",
        f"All {len(finished)} runs took {hours:.1f} hours in sum, one thread each, evaluations included.",
        "",
    ]
    lines += ["## NIGT beside its baselines", "", _headlines(finished)]
    for group in plan.groups():
        rows = [_row(arm, finished) for arm in _with_reference(group)]
        lines += ["", f"## {group[0].upper()}{group[1:]}", "", markdown.table(_COLUMNS, rows)]
        if group in plan.CONTRASTS:
            (one, other), (third, fourth) = plan.CONTRASTS[group]
            found = judge_contrast(group, finished)
            told = f"({one.name} − {other.name}) − ({third.name} − {fourth.name}): {found.comparison.text}"
            lines += ["", f"{told}; p (Holm) {_p(found)}: {found.word}."]
    lines += [
        "",
        "State: numbers of the optimizer kept for each parameter, from results/bench/optimizers.csv. (edge): a tuned",
        "number is the first or last that was tried. *: at another arm's tuned point, not tuned again. Each interval",
        f"is that of one comparison; the word goes by Holm's correction of Welch's p over the table, at {LEVEL:.0%}.",
        "With so few seeds the bootstrap's interval is too narrow: of normal draws it holds the true difference",
        f"{coverage(5, 5):.0%} of the time with 5 and 5, {coverage(5, 3):.0%} with 5 and 3 (simulated).",
        "",
    ]
    lines += ["## When BERT leaves its plateau", "", *plateau.section(finished), ""]
    lines += _at_x(finished)
    written = [output / "study.md"]
    for name, (alt, figure) in _figures(output, finished).items():
        written += style.save(figure, output / name)
        lines += [f"![{alt}]({name})", ""]
    write_atomically(written[0], "\n".join(lines))
    return written


def _at_x(finished: dict[str, choice.Finished]) -> list[str]:
    """NIGT's accuracy at x beside that at w, whenever it was evaluated: the schedule's end brings both together."""
    lines = []
    for task in filter(plan.arms_of, TASKS):
        nigt = plan.arms_of(task)[0]
        runs = [finished[t.name] for t in choice.final_runs(nigt, finished) if t.name in finished]
        curves = [curve for run in runs if run.row["status"] == "ok" for curve in run.curves]
        values: dict[int, dict[str, list[float]]] = {}
        for curve in curves:
            if curve["split"] in ("validation", "validation_x") and curve["name"] == runs[0].row["metric"]:
                values.setdefault(int(curve["step"]), {}).setdefault(curve["split"], []).append(
                    100 * float(curve["value"])
                )
        for step, found in sorted(values.items()):
            at_w, at_x = found["validation"], found["validation_x"]
            gaps = [w - x for w, x in zip(at_w, at_x, strict=True)]
            cells = [
                task,
                f"{step:,}",
                str(len(gaps)),
                f"{statistics.fmean(at_w):.2f}",
                f"{statistics.fmean(at_x):.2f}",
            ]
            lines.append([*cells, f"{statistics.fmean(gaps):+.2f}", f"{min(gaps):+.2f} to {max(gaps):+.2f}"])
    columns = ("task", "step", "n", "at w, mean", "at x, mean", "w − x, mean", "range")
    return ["## NIGT evaluated at x", "", markdown.table(columns, lines), ""] if lines else []


def _figures(output: pathlib.Path, finished: dict[str, choice.Finished]) -> dict[str, tuple]:
    """(alternative text, figure) by file name."""
    found = {}
    phases = {run.row["phase"] for run in finished.values() if run.row["status"] == "ok"}
    if "final" in phases:
        found["figure1.png"] = ("Figure 1 at laptop scale", figure1.draw(output, partial=True))
    for name, title_of, named in (("ablations", _rests_on, _PARTS), ("optimizers", _beside_others, _OTHERS)):
        if rows := _rows(named, finished):
            title, nigt = title_of(rows), sample(plan.find("resnet", "NIGT"), finished).values
            found[f"{name}.png"] = (title, arms_figure.draw(title, nigt, list(rows.values()), MARGIN))
    if drawn := _lengths(finished):
        found["lengths.png"] = drawn
    if drawn := _momentum(finished):
        found["momentum.png"] = drawn
    if "tune" in phases:
        found["sweep.png"] = ("accuracy over η0", sweep_figure.draw(output))
    return found


def _lengths(finished: dict[str, choice.Finished]) -> tuple | None:
    """BERT from scratch at every length that both sides have been run at; None if that is one alone."""
    optimizers: dict[str, list[lengths.Arm]] = {name: [] for name in plan.LENGTHS}
    for pair in zip(*plan.LENGTHS.values(), strict=True):
        runs = [
            [run for t in choice.final_runs(arm, finished) if (run := choice.finished_run(t, finished))] for arm in pair
        ]
        if all(runs):
            for arms, own in zip(optimizers.values(), runs, strict=True):
                steps = max(int(run.row["steps"]) for run in own)
                arms.append(lengths.Arm(steps, tuple(plateau.accuracy(run) for run in own)))
    if any(len(arms) < 2 for arms in optimizers.values()):
        return None
    title = "BERT from scratch, laptop scale: every run, by its length"
    return title, lengths.draw(title, optimizers, 100 * plateau.LEFT)


def _momentum(finished: dict[str, choice.Finished]) -> tuple | None:
    """With momentum and without, at small batches and large; None before all has been run."""
    pairs = plan.CONTRASTS["resnet batches"]
    gains = [judge(*pair, finished) for pair in pairs]
    if any(gain.word == "not run" for gain in gains):
        return None
    sizes = [pair[0].name.rpartition(" ")[2] for pair in pairs]
    panels = {}
    for pair, size, gain in zip(pairs, sizes, gains, strict=True):
        gap = f"{gain.comparison.difference:+.2f}".replace("-", "−")
        panels[f"batches of {size}: {gap} points ({gain.word})"] = [_line(arm, finished) for arm in pair]
    title = "What momentum adds to normalized SGD on the ResNet"
    return title, momentum.draw(title, panels)


def _line(arm: Arm, finished: dict[str, choice.Finished]) -> momentum.Line:
    tried = {float(dict(point.values)["eta0"]): finished[arm.tuning(point).name] for point in plan.points(arm, ())}
    tuning = {rate: 100 * run.selection for rate, run in tried.items() if run.row["status"] == "ok"}
    point = choice.point_of(arm, finished)
    if point is None:
        raise ValueError(f"{arm.name}: all of its trials diverged")
    best = float(dict(point.values)["eta0"])
    return momentum.Line(arm.name.partition(",")[0].replace("β ", "β = "), tuning, best, sample(arm, finished).values)


def _rows(named: dict[str, str], finished: dict[str, choice.Finished]) -> dict[str, arms_figure.Row]:
    """The arms of the ResNet that have been run, by name, under what the figure calls them."""
    nigt, rows = plan.find("resnet", "NIGT"), {}
    for name, shown_as in named.items():
        found = judge(nigt, plan.find("resnet", name), finished)
        if found.word != "not run":
            (low, high), theirs = found.comparison.welch, found.comparison.theirs
            word = {"better": "worse", "worse": "better", "matches": "same"}.get(found.word, found.word)
            rows[name] = arms_figure.Row(shown_as, theirs.values, (-high, -low), theirs.diverged, word)
    return rows


def _rests_on(rows: dict[str, arms_figure.Row]) -> str:
    """The title of the ablations: the parts without which NIGT is worse in every arm, and those without which it is
    the same."""
    words: dict[str, set[str]] = {}
    for name, row in rows.items():
        words.setdefault(_CALLED[name.partition(",")[0]], set()).add(row.word)
    carry, idle = ([part for part, found in words.items() if found == {word}] for word in ("worse", "same"))
    on = " and ".join(carry) + ", " * bool(carry and idle) + "not on " * bool(idle) + _either(idle)
    return f"On the ResNet, NIGT rests on {on}" if carry else "NIGT on the ResNet without one of its parts"


def _either(words: list[str]) -> str:
    """ "this, that or the other"."""
    return " or ".join([", ".join(words[:-1]), *words[-1:]] if words[1:] else words)


def _beside_others(rows: dict[str, arms_figure.Row]) -> str:
    """The title of the optimizers: how many are what."""
    counts = collections.Counter(row.word for row in rows.values())
    words = {"better": "better", "worse": "worse", "same": "the same", "undecided": "undecided"}
    told = ", ".join(f"{counts[word] or 'none'} {text}" for word, text in words.items())
    return f"{len(rows)} optimizers tuned with NIGT's schedule (ResNet): {told}"


def _with_reference(group: str) -> list[Arm]:
    """The arms of a group, before them the NIGT that they stand beside."""
    arms = plan.arms_of(group)
    nigt = plan.reference(arms[0])
    return arms if nigt in arms else [nigt, *arms]


def _headlines(finished: dict[str, choice.Finished]) -> str:
    lines = []
    for question, nigt, other in plan.HEADLINES:
        found = judge(nigt, other, finished)
        both = found.comparison
        counts = " and ".join(str(len(side.values)) for side in (both.ours, both.theirs))
        gap = "–" if math.isnan(both.difference) else f"{both.difference:+.2f} {shown(both.welch)}"
        lines.append([question, other.name, gap, counts, _p(found), f"**{found.word}**"])
    columns = ("", "baseline", "NIGT − baseline, points [Welch 95 %]", "n", "p (Holm)", "NIGT is")
    return markdown.table(columns, lines)


def _p(found: Judged) -> str:
    """Of no difference, after Holm's correction."""
    p = found.p()
    return "–" if found.word == "not run" else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _name(arm: Arm) -> str:
    return f"{arm.name} *" if arm.like else arm.name


def _point(arm: Arm, finished: dict[str, choice.Finished], point: Point) -> str:
    shown = point.name.replace("excluded_learning_rate_multiplier", "factor")
    grid = choice.grid_of(plan.arms_of(arm.group), finished) if arm.is_tuned else ()
    return f"{shown} (edge)" if grid and choice.is_on_edge(arm, point, grid) else shown


def _row(arm: Arm, finished: dict[str, choice.Finished]) -> list[str]:
    point, beside, own = choice.point_of(arm, finished), plan.reference(arm), sample(arm, finished)
    count = f"{len(own.values)}" + (f" (+ {own.diverged} diverged)" if own.diverged else "")
    cells = [_name(arm), _point(arm, finished, point) if point else "–", count]
    if not own.values:
        return [*cells, "diverged" if own.diverged else "not run", *["–"] * (len(_COLUMNS) - len(cells) - 1)]
    low, high = bootstrap(own.values)
    mean = f"{statistics.fmean(own.values):.2f}" + ("" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]")
    gaps = ["–"] * 5
    if arm != beside and sample(beside, finished).values:
        found = judge(beside, arm, finished)
        both = found.comparison
        gaps = [
            beside.name,
            f"{both.difference:+.2f} {shown(both.welch)}",
            _p(found),
            found.word,
            shown(both.bootstrap),
        ]
    trainings = choice.final_runs(arm, finished)
    runs = [run for t in trainings if (run := choice.finished_run(t, finished)) and run.row["status"] == "ok"]
    wall = statistics.median(float(run.row["wall_s"]) for run in runs)
    cells += [mean, " ".join(f"{value:.2f}" for value in own.values), *gaps]
    return [*cells, f"{int(runs[0].row['steps']):,}", f"{wall / 60:.1f} min", _state(arm, runs[0].row["optimizer"])]


def _state(arm: Arm, optimizer: str) -> str:
    """Copies of the parameters that the optimizer keeps for this model, from `make bench`; "–" if it has none."""
    name = optimizer.removesuffix("_keras")  # as tf-models-official calls Adafactor
    if any("momentum_dtype" in binding for binding in arm.bindings):
        name = "nigt, m in bfloat16"
    with open(ROOT / "results" / "bench" / "optimizers.csv", newline="") as file:
        for row in csv.DictReader(file):
            if (row["model"], row["optimizer"].lower()) == (arm.task, name):
                return row["state_copies"]
    return "–"
