"""Why NIGT is slow on BERT's plateau: how far the layers have grown, which tokens wait, and accuracy by growth."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.figures import style

_COLOURS = {"Adam": style.COLOURS["baseline"], "LAMB": style.COLOURS["other"], "NIGT": style.COLOURS["nigt"]}
_LONGER = style.SKY
SEED = ", seed "  # in the name of a run, between its arm's name and the number


def draw(rows: list[dict[str, str]]) -> Figure:
    """The figure of why.csv's rows (scripts/why)."""
    with style.figure((style.WIDTH, 6.4)) as figure:
        panels = figure.subplot_mosaic([["growth", "losses"], ["positions", "positions"]], height_ratios=(1, 0.9))
        _draw_growth(panels["growth"], rows)
        _draw_losses(panels["losses"], rows)
        _draw_positions(panels["positions"], rows)
        handles, labels = panels["losses"].get_legend_handles_labels()
        seen = dict(zip(labels, handles, strict=True))  # an arm once, whatever its seeds
        figure.legend(seen.values(), seen, loc="outside lower center", ncols=len(seen), frameon=False)
    return figure


def _runs(rows: list[dict[str, str]], what: str) -> dict[str, dict[str, float]]:
    """By run, what was measured of each group."""
    runs: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["what"] == what:
            runs.setdefault(row["arm"], {})[row["group"]] = float(row["value"])
    return runs


def _draw_growth(axes: Axes, rows: list[dict[str, str]]) -> None:
    runs = _runs(rows, "growth")
    kinds = list(next(iter(runs.values())))[::-1]
    for run, own in runs.items():
        axes.plot([own[kind] for kind in kinds], range(len(kinds)), "o", ms=6, color=_colour(run))
    axes.axvline(1, color="0.6", lw=0.8)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(-0.5, len(kinds) - 0.5)
    axes.set_xlabel("‖w‖ at the end, over ‖w‖ at the start")
    axes.set_title("How far the weights have grown")


def _draw_losses(axes: Axes, rows: list[dict[str, str]]) -> None:
    for run, own in _runs(rows, "loss").items():
        axes.plot(
            [int(number) for number in own],
            list(own.values()),
            "o-",
            ms=3.5,
            lw=1.6,
            color=_colour(run),
            label=_arm(run),
        )
    axes.set_xticks(range(1, 11))
    axes.set_xlabel("tenths of the masked tokens, frequent to rare")
    axes.set_ylabel("loss at the end [nats]")
    axes.set_ylim(bottom=0)
    axes.set_title("Loss by the frequency of the token")


def _draw_positions(axes: Axes, rows: list[dict[str, str]]) -> None:
    accuracy = _runs(rows, "accuracy")
    for run, own in _runs(rows, "positions").items():
        steps = [step for step in own if step in accuracy[run]]
        values = [accuracy[run][step] for step in steps]
        axes.plot([own[step] for step in steps], values, "o-", ms=3.5, lw=1.6, color=_colour(run))
    axes.set_xlabel("‖w‖ of the position embeddings, over that at the start")
    axes.set_ylabel("validation accuracy [%]")
    axes.set_title("Accuracy as the position embeddings grow: each run at its evaluations, to its end")


def _arm(run: str) -> str:
    return run.partition(SEED)[0]


def _colour(run: str) -> str:
    return _COLOURS.get(_arm(run), _LONGER)
