"""The layout of the figures, and that the check sees what can go wrong with one."""

import pytest
from matplotlib.figure import Figure

from scripts.figures import style
from scripts.figures import theory as theory_figures
from scripts.theory import tables
from tests.conftest import ROOT
from tests.scripts.figures.layout import faults


@pytest.mark.parametrize("name", theory_figures.FIGURES)
def test_the_theory_s_figures_are_laid_out_well(name):
    records = tables.read_records(ROOT / "results" / "theory" / "measurements.csv")
    assert faults(theory_figures.FIGURES[name](records)) == []


def good() -> Figure:
    with style.figure((6, 3)) as figure:
        for axes in figure.subplots(1, 2):
            axes.plot([0, 1], [0, 1], label="a line")
            axes.set(xlabel="x", ylabel="y", title="a title")
            axes.legend(loc="upper left")
    return figure


def long_title(figure):
    figure.axes[0].set_title("a title that is much longer than the axes below it are wide, on both sides")


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


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (long_title, "axes 0 title 0 is off the canvas"),
        (long_title, "axes 0 title 0 overlaps axes 1 title 0"),
        (legends_below, "axes 0 legend overlaps axes 1 legend"),
        (legends_below, "axes 0 legend is off the canvas"),
        (legend_on_a_line, "axes 1 legend covers a line"),
        (slivers, "the axes have 5% of the canvas, not 40%"),
        (text_over_numbers, "overlaps axes 0 x axis"),
    ],
)
def test_a_spoilt_figure_is_seen(spoil, message):
    assert faults(good()) == []
    figure = good()
    spoil(figure)
    assert any(message in fault for fault in faults(figure)), faults(figure)
