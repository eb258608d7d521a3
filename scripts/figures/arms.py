"""What carries NIGT's result: every arm of a task as a distance from NIGT's mean."""

import dataclasses
import statistics

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.figures import style

_FARTHEST = -8.0  # points below NIGT: an arm whose mean lies beyond stands on the edge, with its number
_LEGEND = "dots: seeds; bars: the difference's 95 % (Welch); grey: the protocol's margin; *: not tuned anew"


@dataclasses.dataclass(frozen=True)
class Row:
    """An arm of the figure.

    Attributes:
      name: Of the arm.
      accuracy: In %, one value a seed; runs that diverged are not among them.
      interval: The 95 % interval of its mean minus NIGT's; NaN where there is none.
      diverged: How many further seeds diverged.
    """

    name: str
    accuracy: tuple[float, ...]
    interval: tuple[float, float]
    diverged: int


def draw(panels: dict[str, list[Row]], margin: float) -> Figure:
    """One panel a task, by its title.

    Args:
      panels: Rows by title; the first row is NIGT's own, the rest are drawn in order of their means.
      margin: What the protocol takes for the same, in points: shaded.
    """
    heights = [len(rows) + 1.5 for rows in panels.values()]
    with style.figure((7.2, 1.0 + 0.24 * sum(heights))) as figure:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axes, (title, rows) in zip(grid[:, 0], panels.items(), strict=True):
            _draw_panel(axes, title, rows, margin)
        figure.supxlabel(_LEGEND, fontsize=7, color="0.35")
    return figure


def _draw_panel(axes: Axes, title: str, rows: list[Row], margin: float) -> None:
    nigt, *others = rows
    zero = statistics.fmean(nigt.accuracy)
    others.sort(key=lambda row: statistics.fmean(row.accuracy) if row.accuracy else float("-inf"))
    ordered = [*others, nigt]
    axes.axvspan(-margin, margin, color="0.93", lw=0, zorder=0)
    axes.axvline(0, color="0.6", lw=0.8, zorder=1)
    drawn = [
        value - zero for row in rows for value in row.accuracy if statistics.fmean(row.accuracy) - zero >= _FARTHEST
    ]
    edge = min(-2.0, *drawn)
    for height, row in enumerate(ordered):
        _draw_row(axes, height, row, zero, edge, style.COLOURS["nigt" if row is nigt else "baseline"])
    axes.set_yticks(range(len(ordered)), [_label(row) for row in ordered])
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    axes.set_xlim(left=edge - 0.2)
    axes.grid(axis="y", visible=False)
    axes.set_title(f"{title}: NIGT {zero:.2f} %", loc="left")
    axes.set_xlabel("validation accuracy at w minus NIGT's mean [points]")


def _draw_row(axes: Axes, height: int, row: Row, zero: float, edge: float, colour: str) -> None:
    if not row.accuracy:
        axes.text(edge, height, "diverged", va="center", fontsize=7.5, color="0.4")
        return
    mean = statistics.fmean(row.accuracy) - zero
    if mean < _FARTHEST:
        axes.text(edge, height, f"◂ {mean:+.1f}", va="center", fontsize=7.5, color="0.25")
        return
    axes.plot(row.interval, [height, height], color=colour, lw=3, solid_capstyle="butt", zorder=2)
    axes.plot([value - zero for value in row.accuracy], [height] * len(row.accuracy), "o", ms=3, color="0.25", zorder=3)
    axes.plot(mean, height, "|", ms=9, mew=1.6, color="black", zorder=4)


def _label(row: Row) -> str:
    """ "LAMB (n = 3, 1 more diverged)"."""
    lost = f", {row.diverged} more diverged" if row.diverged and row.accuracy else ""
    return f"{row.name} (n = {len(row.accuracy) or row.diverged}{lost})"
