"""Accuracy over steps, every run a line, for runs of several lengths."""

import dataclasses

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from scripts.figures import style

_COLOURS = (style.COLOURS["nigt"], style.COLOURS["baseline"])
_STYLES = ("--", "-", ":")  # by length, the shortest first


@dataclasses.dataclass(frozen=True)
class Arm:
    """The seeds of one optimizer at one length.

    Attributes:
      steps: The length of its runs.
      accuracy: Of each run, by step, in %.
    """

    steps: int
    accuracy: tuple[dict[int, float], ...]


def draw(title: str, optimizers: dict[str, list[Arm]], left: float) -> Figure:
    """All runs over one axis of steps.

    Args:
      optimizers: By name: two of them, each with its arms, the shortest first.
      left: The accuracy at which the plateau counts as left, in %.
    """
    with style.figure((style.WIDTH, 4.2)) as figure:
        axes = figure.subplots()
        for (name, arms), colour in zip(optimizers.items(), _COLOURS, strict=True):
            for arm, line in zip(arms, _STYLES, strict=False):
                label = f"{name}, {arm.steps:,} steps (n = {len(arm.accuracy)})"
                for number, own in enumerate(arm.accuracy):
                    shown = label if number == 0 else None
                    axes.plot(list(own), list(own.values()), line, color=colour, lw=1.3, label=shown)
        axes.axhline(left, color="0.6", lw=0.8, label=f"{left:g} %: off the plateau")
        axes.set(xlabel="training steps", ylabel="masked LM accuracy on validation [%]", title=title, xlim=(0, None))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return figure
