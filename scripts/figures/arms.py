"""Arms of the study as distances from NIGT's mean: one figure for a question."""

import dataclasses
import statistics

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scripts.figures import style

_FARTHEST = -6.0  # points below NIGT: an arm whose mean lies beyond stands on the edge, with its number
# What the study says of NIGT beside an arm, by the protocol; the colours are of Okabe and Ito.
_WORDS = {"better": ("behind NIGT", "#d55e00"), "worse": ("ahead of NIGT", "#009e73")}
_WORDS |= {"matches": ("no difference", "#0072b2"), "undecided": ("undecided", "0.6")}


@dataclasses.dataclass(frozen=True)
class Row:
    """An arm of the figure.

    Attributes:
      name: Of the arm.
      accuracy: In %, one value a seed; runs that diverged are not among them.
      interval: The 95 % interval of its mean minus NIGT's; NaN where there is none.
      diverged: How many further seeds diverged.
      word: What NIGT is beside it, a key of _WORDS.
    """

    name: str
    accuracy: tuple[float, ...]
    interval: tuple[float, float]
    diverged: int
    word: str


def draw(title: str, nigt: tuple[float, ...], rows: list[Row], margin: float) -> Figure:
    """One panel, the best arm on top.

    Args:
      title: What the figure asks.
      nigt: NIGT's accuracy, in %, one value a seed.
      rows: In any order.
      margin: What the protocol takes for the same, in points: shaded.
    """
    zero = statistics.fmean(nigt)
    rows = sorted(rows, key=lambda row: statistics.fmean(row.accuracy) if row.accuracy else float("-inf"))
    drawn = [v - zero for row in rows for v in row.accuracy if statistics.fmean(row.accuracy) - zero >= _FARTHEST]
    edge = min([-2.0, *drawn, *(row.interval[0] for row in rows if row.interval[0] > _FARTHEST)])
    with style.figure((7.2, 1.3 + 0.24 * len(rows))) as figure:
        axes = figure.subplots()
        axes.axvspan(-margin, margin, color="0.94", lw=0, zorder=0)
        axes.axvline(0, color=style.COLOURS["nigt"], lw=1.2, zorder=1)
        for height, row in enumerate(rows):
            _draw_row(axes, height, row, zero, edge)
        axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlim(left=edge - 0.2)
        axes.grid(axis="y", visible=False)
        axes.set_title(title, loc="left")
        axes.set_xlabel(f"validation accuracy minus NIGT's, {zero:.2f} % (n = {len(nigt)}) [points]")
        figure.legend(handles=_legend(rows, margin), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def _draw_row(axes: Axes, height: int, row: Row, zero: float, edge: float) -> None:
    if not row.accuracy:
        axes.text(edge, height, "diverged", va="center", fontsize=8, color="0.4")
        return
    mean, colour = statistics.fmean(row.accuracy) - zero, _WORDS[row.word][1]
    if mean < _FARTHEST:
        axes.text(edge, height, f"◂ {mean:+.1f}".replace("-", "−"), va="center", fontsize=8, color=colour)
        return
    axes.plot(row.interval, [height, height], color=colour, lw=4, alpha=0.45, solid_capstyle="butt", zorder=2)
    axes.plot([value - zero for value in row.accuracy], [height] * len(row.accuracy), "o", ms=3, color="0.3", zorder=3)
    axes.plot(mean, height, "|", ms=9, mew=2, color=colour, zorder=4)


def _legend(rows: list[Row], margin: float) -> list[Line2D]:
    words = [_WORDS[word] for word in _WORDS if any(row.word == word for row in rows)]
    bars = [Line2D([], [], color=colour, lw=4, alpha=0.6, label=label) for label, colour in words]
    seeds = Line2D([], [], color="0.3", marker="o", ms=3, lw=0, label="one seed")
    near = Line2D([], [], color="0.88", lw=7, label=f"within the margin, ±{margin:g} points")
    untuned = [Line2D([], [], lw=0, label="*  at NIGT's η₀, not tuned")] if any("*" in row.name for row in rows) else []
    return [*bars, seeds, near, *untuned]


def _label(row: Row) -> str:
    """ "LAMB (3 seeds, 1 more diverged)"."""
    lost = f", {row.diverged} more diverged" if row.diverged and row.accuracy else ""
    return f"{row.name} ({len(row.accuracy) or row.diverged} seeds{lost})"
