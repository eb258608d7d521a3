"""Two panels: how far each kind of layer has grown, and the loss by the frequency of the masked token."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.figures import style

_COLOURS = {"Adam": style.COLOURS["baseline"], "LAMB": style.COLOURS["other"], "NIGT": style.COLOURS["nigt"]}
_LONGER = style.SKY


def draw(rows: list[dict[str, str]]) -> Figure:
    """The figure of why.csv's rows (scripts/why)."""
    with style.figure((style.WIDTH, 3.4)) as figure:
        left, right = figure.subplots(1, 2)
        _draw_growth(left, [row for row in rows if row["what"] == "growth"])
        _draw_losses(right, [row for row in rows if row["what"] == "loss"])
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _draw_growth(axes: Axes, rows: list[dict[str, str]]) -> None:
    kinds = list(dict.fromkeys(row["group"] for row in rows))[::-1]
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = {row["group"]: float(row["value"]) for row in rows if row["arm"] == arm}
        axes.plot([own[kind] for kind in kinds], range(len(kinds)), "o", ms=6, color=_colour(arm), label=arm)
    axes.axvline(1, color="0.6", lw=0.8)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(-0.5, len(kinds) - 0.5)
    axes.set_xlabel("‖w‖ at the end, over ‖w‖ at the start")
    axes.set_title("How far the weights have grown")


def _draw_losses(axes: Axes, rows: list[dict[str, str]]) -> None:
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = [(int(row["group"]), float(row["value"])) for row in rows if row["arm"] == arm]
        axes.plot(*zip(*own, strict=True), "o-", ms=3.5, lw=1.6, color=_colour(arm), label=arm)
    axes.set_xticks(range(1, 11))
    axes.set_xlabel("tenths of the masked tokens, frequent to rare")
    axes.set_ylabel("loss at the end [nats]")
    axes.set_ylim(bottom=0)
    axes.set_title("Loss by the frequency of the token")


def _colour(arm: str) -> str:
    return _COLOURS.get(arm, _LONGER)
