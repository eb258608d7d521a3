"""Verdicts on the paper's own experiments, from results/paper, where the launcher brings what a TPU has measured."""

import collections
import dataclasses
from collections.abc import Callable

from scripts.arm import Arm
from scripts.claims.evidence import Evidence, Found, verdict
from scripts.study import choice
from scripts.study.comparison import Comparison, Judged, Sample
from trainers.checkout import ROOT

_Runs = list[choice.Finished]
_Judge = Callable[[_Runs], Found | None]


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
      optimizer: As in runs.csv.
      settings: What its runs bind besides η0, seed and data, as scripts.arm.Arm.settings has it.
      file: Whose gin file they take; "": the optimizer's.
    """

    optimizer: str
    settings: str = ""
    file: str = ""

    def target(self, task: str) -> str:
        """What makes its runs."""
        gin = f' GIN="{self.settings.replace(", ", " ")}"' if self.settings else ""
        return f"{task}-{self.file or self.optimizer}{gin}"


def beside(task: str, ours: Side, theirs: Side, better: bool = True) -> Evidence:
    """That one side ends ahead of another, or no worse: by Welch's test; with one run each, as in the paper, undecided.

    Args:
      task: "bert" or "resnet".
      ours, theirs: The sides.
      better: Whether the claim is that ours is better; else that it is no worse, by the study's margin.
    """

    def find(runs: _Runs) -> Found | None:
        samples = [_sample(runs, task, side) for side in (ours, theirs)]
        if not all(sample.planned for sample in samples):
            return None
        found = Comparison(*samples)
        means = " and ".join(", ".join(f"{value:.2f}" for value in sample.values) or "–" for sample in samples)
        few = min(sample.planned for sample in samples) < 2
        return Found(f"{means} %; {found.text}", "undecided" if few else verdict(Judged(found, (found,)), better), "")

    return _evidence(find, (ours.target(task), theirs.target(task)))


def reaches(task: str, percent: float, *targets: str) -> Evidence:
    """That NIGT's runs end at so much or more, all of them."""

    def find(runs: _Runs) -> Found | None:
        own = _sample(runs, task, Side("nigt"))
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
        found = found or Found("–", "not run", "")
        return dataclasses.replace(found, command=command, said=found.ours, link="../results/paper/table.md")

    return evidence


def _sample(runs: _Runs, task: str, side: Side) -> Sample:
    """The final runs that have ended, accuracy at w on validation after the last step, in %."""
    own = [
        run.row
        for run in runs
        if (run.row["task"], run.row["optimizer"], run.row["phase"]) == (task, side.optimizer, "final")
        and run.row["status"] in ("ok", "diverged")
        and Arm.of_run(run.row).settings == side.settings
    ]
    values = tuple(100 * float(row["final_value"]) for row in own if row["status"] == "ok")
    return Sample(values, len(own) - len(values), len(own))
