"""The layout of every figure, and that the check sees what can go wrong with one."""

import functools

import pytest
from matplotlib.figure import Figure

from scripts.figures import figure1, style, why
from scripts.figures import theory as theory_figures
from scripts.figures.collect import read_rows
from scripts.study import choice, report
from scripts.theory import tables
from scripts.why import __main__ as why_script
from tests.conftest import ROOT
from tests.scripts.figures.layout import faults

RESULTS = ROOT / "results"
LAPTOP = RESULTS / "laptop"


@functools.cache
def _of_the_study() -> dict[str, Figure]:
    return {name: figure for name, (_, figure) in report._figures(LAPTOP, choice.read(LAPTOP)).items()}


@functools.cache
def _measured():
    return tables.read_records(RESULTS / "theory" / "measurements.csv")


# Every picture of the repository, and how it is drawn.
FIGURES = {
    **{f"laptop/{name}.png": lambda n=name: _of_the_study()[f"{n}.png"] for name in ("figure1", "sweep")},
    **{
        f"laptop/{name}.png": lambda n=name: _of_the_study()[f"{n}.png"]
        for name in ("ablations", "optimizers", "lengths", "momentum")
    },
    "laptop/demo/figure1.png": lambda: figure1.draw(LAPTOP / "demo"),
    "laptop/why.png": lambda: why.draw(read_rows(LAPTOP / "why.csv", why_script.COLUMNS)),
    **{f"theory/{name}.png": lambda d=draw: d(_measured()) for name, draw in theory_figures.FIGURES.items()},
}


def test_no_picture_is_without_a_check():
    assert {path.relative_to(RESULTS).as_posix() for path in RESULTS.rglob("*.png")} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_laid_out_well(name):
    assert faults(FIGURES[name]()) == []


def good() -> Figure:
    with style.figure((6, 3)) as figure:
        for axes in figure.subplots(1, 2):
            axes.plot([0, 1], [0, 1], label="a line")
            axes.set(xlabel="x", ylabel="y", title="a title")
            axes.legend(loc="upper left")
    return figure


def long_title(figure):
    figure.axes[0].set_title("a title that is much longer than the axes below it are wide, on both sides", loc="center")


def legends_below(figure):
    for axes in figure.axes:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), title="wider than the axes, and so over each other")
        axes.get_legend().set_in_layout(False)


def legend_on_a_line(figure):
    figure.axes[1].legend(loc="center")


def slivers(figure):
    figure.set_layout_engine("none")
    for i, axes in enumerate(figure.axes):
        axes.set_position((0.2 + 0.5 * i, 0.2, 0.05, 0.5))


def text_over_numbers(figure):
    figure.text(0.5, 0.06, "a footnote where the axes have their numbers and names", ha="center")


def small_print(figure):
    figure.axes[0].text(0.9, 0.1, "small", fontsize=5, ha="right")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (long_title, "is off the canvas"),
        (long_title, "axes 0 title 0 overlaps axes 1 title 0"),
        (legends_below, "axes 0 legend overlaps axes 1 legend"),
        (legends_below, "axes 0 legend is off the canvas"),
        (legend_on_a_line, "axes 1 legend covers a line"),
        (slivers, "the axes have 5% of the canvas, not 40%"),
        (text_over_numbers, "overlaps axes 0 x axis"),
        (small_print, "'small' has 9.6 pixels, not 10"),
    ],
)
def test_a_spoilt_figure_is_seen(spoil, message):
    assert faults(good()) == []
    figure = good()
    spoil(figure)
    assert any(message in fault for fault in faults(figure)), faults(figure)
