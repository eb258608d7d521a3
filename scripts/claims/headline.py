"""The table on README's first screen: the paper's two comparisons, and the study's."""

import math
import statistics

from scipy import stats

from scripts import markdown
from scripts.claims.evidence import IN_A_WORD
from scripts.figures.table import OPTIMIZERS
from scripts.study import choice, plan, report
from scripts.study.comparison import Sample
from trainers.checkout import ROOT
from trainers.schema.tasks import TASKS

_BEGIN, _END = "<!-- `make claims` writes this table -->", "<!-- end of the table -->"
_COLUMNS = ("task", "the paper's, %", "ours, %: NIGT", "ours, %: baseline", "n", "scale", "NIGT is", "command")
_LEVEL = 0.95


def table() -> str:
    """A row for each of plan.HEADLINES, mean ± 95 % (Student's t over seeds); the word is that of study.md."""
    finished = choice.read(ROOT / "results" / "laptop")
    lines = []
    for question, nigt, other in plan.HEADLINES:
        found = report.judge(nigt, other, finished)
        name = other.name.split(",")[0].split(" ")[0]
        ours, theirs = found.comparison.ours, found.comparison.theirs
        papers = " / ".join(f"{TASKS[nigt.task].paper_final[side]:.2f}" for side in ("nigt", name.lower()))
        n = "–" if found.word == "not run" else f"{len(ours.values)} and {len(theirs.values)}"
        command = f'`make study GROUPS="{other.group}"`'
        word = f"**{IN_A_WORD[found.word]}**"
        lines.append([question, f"{papers} ({name})", _mean(ours), _mean(theirs), n, "laptop", word, command])
    for task in filter(lambda task: task.paper_run, TASKS.values()):
        papers = " / ".join(f"{task.paper_final[side]:.2f}" for side in ("nigt", task.baseline))
        what = ", ".join(task.paper_run)
        cells = [what, f"{papers} ({OPTIMIZERS[task.baseline]})", "–", "–", "–", "paper", "not run"]
        lines.append([*cells, f"`make {task.name}-nigt TPU=…`"])
    return markdown.table(_COLUMNS, lines)


def insert(readme: str) -> str:
    """README with the table as it is now.

    Raises:
      ValueError: The marks between which it stands are missing.
    """
    before, found, rest = readme.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not found or not ended:
        raise ValueError(f"README.md: the lines {_BEGIN} and {_END} are missing; restore them")
    return f"{before}{_BEGIN}\n\n{table()}\n\n{_END}{after}"


def _mean(sample: Sample) -> str:
    """ "89.83 ± 0.21"."""
    values = sample.values
    if not values:
        return "–"
    text = f"{statistics.fmean(values):.2f}"
    if len(values) < 2:
        return text
    half = stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{text} ± {half:.2f}"
