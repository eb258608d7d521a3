"""The layout of the figures, and that the check sees what can go wrong with one."""

import csv
import functools

import pytest
from matplotlib.figure import Figure

from scripts.figures import figure1, style, why
from scripts.figures import theory as theory_figures
from scripts.study import choice, report
from scripts.theory import tables
from tests.conftest import ROOT
from tests.scripts.figures.layout import faults

LAPTOP = ROOT / "results" / "laptop"


@functools.cache
def figures() -> dict[str, Figure]:
    """Every figure of the repository, by the file that it is written to."""
    records = tables.read_records(ROOT / "results" / "theory" / "measurements.csv")
    made = {f"theory/{name}.png": draw(records) for name, draw in theory_figures.FIGURES.items()}
    made |= {f"laptop/{name}": figure for name, (_, figure) in report.figures(LAPTOP, choice.read(LAPTOP)).items()}
    with open(LAPTOP / "why.csv", newline="", encoding="utf-8") as file:
        made["laptop/why.png"] = why.draw(list(csv.DictReader(file)))
    return made | {"laptop/demo/figure1.png": figure1.draw(LAPTOP / "demo")}


PNGS = sorted(str(path.relative_to(LAPTOP.parent)) for path in LAPTOP.parent.rglob("*.png"))


def test_every_figure_is_drawn_here_and_has_its_pdf():
    assert sorted(figures()) == PNGS
    assert [name for name in PNGS if not (LAPTOP.parent / name).with_suffix(".pdf").exists()] == []


@pytest.mark.parametrize("name", PNGS)
def test_a_figure_is_laid_out_well(name):
    assert faults(figures()[name]) == []


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
