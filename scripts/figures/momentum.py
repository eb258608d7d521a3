"""Normalized SGD with momentum and without, over η0, one panel a batch size."""

import dataclasses

from matplotlib.figure import Figure

from scripts.figures import style

_COLOURS = (style.BLUE, style.VERMILLION)


@dataclasses.dataclass(frozen=True)
class Line:
    """One β at one batch size.

    Attributes:
      name: "β = 0.9".
      tuning: The accuracy on the selection data of every η0 that was tried, in %.
      best: The η0 that was chosen.
      final: The accuracy on the validation data of each seed there, in %.
    """

    name: str
    tuning: dict[float, float]
    best: float
    final: tuple[float, ...]


def draw(title: str, panels: dict[str, list[Line]]) -> Figure:
    """Tuning as lines, the final runs as dots beside the chosen η0; the panels share their y axis, cut below its dots.

    Args:
      panels: By their titles.
    """
    with style.figure((style.WIDTH, 3.6)) as figure:
        grid = figure.subplots(1, len(panels), sharey=True)
        for axes, (name, lines) in zip(grid, panels.items(), strict=True):
            for line, colour in zip(lines, _COLOURS, strict=True):
                rates = sorted(line.tuning)
                values = [line.tuning[rate] for rate in rates]
                axes.plot(
                    rates,
                    values,
                    "-",
                    marker=".",
                    color=colour,
                    lw=1.4,
                    label=f"{line.name}: tuning, on selection data",
                )
                places = [line.best] * len(line.final)
                axes.plot(
                    places,
                    line.final,
                    "D",
                    ms=5,
                    mfc="none",
                    color=colour,
                    label=f"{line.name}: seeds, on validation data",
                )
            axes.set(xscale="log", xlabel="η₀", title=name)
        every = [line for lines in panels.values() for line in lines]
        shown = [value for line in every for value in (*line.final, max(line.tuning.values()))]
        grid[0].set(ylabel="accuracy [%]", ylim=(min(shown) - 6, max(shown) + 1))
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure
