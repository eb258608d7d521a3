"""Verdicts on the paper's own experiments, from results/paper, where the launcher brings what a TPU has measured."""

import collections
import dataclasses
from collections.abc import Callable

from scripts.claims.evidence import Evidence, Found, judge
from scripts.study import choice
from scripts.study.comparison import Comparison, Sample
from trainers.checkout import ROOT

_Runs = list[choice.Finished]
_Judge = Callable[[_Runs], Found | None]


def ahead(task: str, baseline: str, *targets: str) -> Evidence:
    """That NIGT ends ahead of the baseline: by Welch's interval; with one run each, as in the paper, undecided.

    Args:
      task: "bert" or "resnet".
      baseline: An optimizer, as in runs.csv.
      targets: The make targets that run both.
    """

    def find(runs: _Runs) -> Found | None:
        samples = [_sample(runs, task, optimizer) for optimizer in ("nigt", baseline)]
        if not all(sample.planned for sample in samples):
            return None
        found = Comparison(*samples)
        means = " and ".join(", ".join(f"{value:.2f}" for value in sample.values) or "–" for sample in samples)
        verdict = "undecided" if min(sample.planned for sample in samples) < 2 else judge(found, better=True)
        return Found(f"{means} %; {found.text}", verdict, "")

    return _evidence(find, targets)


def reaches(task: str, percent: float, *targets: str) -> Evidence:
    """That NIGT's runs end at so much or more, all of them."""

    def find(runs: _Runs) -> Found | None:
        own = _sample(runs, task, "nigt")
        if not own.planned:
            return None
        text = ", ".join(f"{value:.2f} %" for value in own.values) + (f"; {own.diverged} diverged" * bool(own.diverged))
        return Found(text, "holds" if own.values and min(own.values) >= percent and not own.diverged else "fails", "")

    return _evidence(find, targets)


def best_of_grid(best: dict[str, float], *targets: str) -> Evidence:
    """That NIGT's best η0 on the selection data is the paper's, for every task of `best`; two points are a grid."""

    def find(runs: _Runs) -> Found | None:
        found = {}
        for task in best:
            points = collections.defaultdict(list)
            for run in runs:
                if (run.row["task"], run.row["optimizer"], run.row["phase"]) == (task, "nigt", "tune"):
                    points[float(run.row["eta0"])].append(run.selection)
            if len(points) < 2:
                return None
            found[task] = max(points, key=lambda eta0: max(points[eta0]))
        text = ", ".join(f"{task} {eta0:g}" for task, eta0 in found.items())
        return Found(text, "holds" if found == best else "fails", "")

    return _evidence(find, targets)


def _evidence(find: _Judge, targets: tuple[str, ...]) -> Evidence:
    command = "; ".join(f"make {target} TPU=v3-8 …" for target in targets)

    def evidence() -> Found:
        found = find(list(choice.read(ROOT / "results" / "paper").values()))
        return dataclasses.replace(found or Found("–", "not run", ""), command=command)

    return evidence


def _sample(runs: _Runs, task: str, optimizer: str) -> Sample:
    """The final runs that have ended, accuracy at w on validation after the last step, in %."""
    own = [
        run.row
        for run in runs
        if (run.row["task"], run.row["optimizer"], run.row["phase"]) == (task, optimizer, "final")
        and run.row["status"] in ("ok", "diverged")
    ]
    values = tuple(100 * float(row["final_value"]) for row in own if row["status"] == "ok")
    return Sample(values, len(own) - len(values), len(own))
