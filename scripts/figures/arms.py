"""Arms of the study as distances from NIGT's mean, one figure a question."""

import dataclasses
import statistics
import textwrap
from typing import Any

from matplotlib.figure import Figure

from scripts.figures import style

_FARTHEST = -8.0  # points below NIGT: an arm whose mean lies beyond stands on the edge, with its number
_COLOURS = {"better": style.GREEN, "same": style.BLUE, "worse": style.VERMILLION, "undecided": "0.55"}
_ROW = 0.36  # inches
_TITLE = 100  # characters of a line


@dataclasses.dataclass(frozen=True)
class Row:
    """An arm of the figure.

    Attributes:
      name: Of the arm.
      accuracy: In %, one value a seed; runs that diverged are not among them.
      interval: The 95 % interval of its mean minus NIGT's; NaN where there is none.
      diverged: How many further seeds diverged.
      word: What it is beside NIGT: "better", "worse", "same" or "undecided".
    """

    name: str
    accuracy: tuple[float, ...]
    interval: tuple[float, float]
    diverged: int
    word: str


def draw(title: str, nigt: tuple[float, ...], rows: list[Row], margin: float) -> Figure:
    """The rows in order of their means, each beside its difference to NIGT and the word for it.

    Args:
      title: Above all.
      nigt: NIGT's accuracy in %, one value a seed.
      rows: The arms that stand beside it.
      margin: What the protocol takes for the same, in points: shaded.
    """
    zero = statistics.fmean(nigt)
    rows = sorted(rows, key=lambda row: statistics.fmean(row.accuracy) if row.accuracy else float("-inf"))
    near = [value - zero for row in rows for value in row.accuracy if statistics.fmean(row.accuracy) - zero > _FARTHEST]
    edge = min([-2.0, *near, *(row.interval[0] for row in rows if row.interval[0] > _FARTHEST)])
    with style.figure((style.WIDTH, 1.4 + _ROW * len(rows))) as figure:
        axes = figure.subplots()
        axes.axvspan(-margin, margin, color="0.93", lw=0, zorder=0)
        axes.axvline(0, color=style.COLOURS["nigt"], lw=1.6, zorder=1)
        axes.annotate("NIGT", (0, len(rows) - 0.45), color=style.COLOURS["nigt"], ha="center", va="bottom")
        for height, row in enumerate(rows):
            gap = statistics.fmean(row.accuracy) - zero if row.accuracy else float("nan")
            colour = _COLOURS[row.word]
            if gap >= _FARTHEST:
                axes.plot(row.interval, [height] * 2, color=colour, lw=3, solid_capstyle="butt", zorder=2)
                axes.plot(
                    [value - zero for value in row.accuracy], [height] * len(row.accuracy), "o", ms=3, color="0.2"
                )
                axes.plot(gap, height, "|", ms=10, mew=1.8, color="black", zorder=4)
            else:
                axes.plot(edge, height, "<", ms=6, color=colour)
            lost = f", {row.diverged} diverged" if row.diverged else ""
            text = f"{gap:+.2f}, {row.word}".replace("-", "−") if row.accuracy else row.word
            place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
            axes.text(1.02, height, text + lost, color=colour if row.word != "undecided" else "0.35", **place)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set(ylim=(-0.6, len(rows) - 0.4), xlabel=f"accuracy minus NIGT's mean of {zero:.2f} % [points]")
        axes.set_xlim(left=edge - 0.3)
        axes.grid(axis="y", visible=False)
        figure.suptitle(textwrap.fill(title, _TITLE), x=0.01, ha="left", fontsize=11)
        note = f"dots: seeds;  bars: 95 % interval of the difference (Welch);  grey: less than {margin:g} points apart"
        figure.supxlabel(note, fontsize=8.5, color="0.35")
    return figure
