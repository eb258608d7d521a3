"""The figure of the trials: a panel a task and length, a line an optimizer, each point the best of its settings."""

import math

import pytest

from scripts.figures import style, sweep
from tests.conftest import ROOT

RESULTS = ROOT / "results" / "laptop"


@pytest.fixture(scope="module")
def figure():
    return sweep.draw(RESULTS)


def test_each_length_has_its_panel_from_scratch_first(figure):
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(titles) == len(set(titles)) and titles[:2] == ["BERT: 2,400 steps", "BERT: 6,000 steps"]
    assert "BERT: 3,000 steps from Adam's step 3,000" in titles and titles[-1] == "ResNet: 1,284 steps"


def test_a_point_is_the_best_of_its_settings_and_no_variant_is_among_them():
    trials = sweep.trials(RESULTS)
    for row in sweep.best(RESULTS).itertuples():
        own = trials[(trials.task == row.task) & (trials.optimizer == row.optimizer) & (trials.eta0 == row.eta0)]
        steps = row.panel.split()[1].replace(",", "")
        tried = own[(own.steps == steps) & ((own.start != "") == (" from " in row.panel))]
        tried = tried[tried.name.str.match(f"{row.task}_{row.optimizer.removesuffix('_keras')}(__|-)")]
        assert math.isnan(row.selection) if tried.empty else row.selection == tried.selection.max()


def test_nigt_and_the_baseline_are_coloured_and_named_and_the_others_grey_and_named(figure):
    axes = figure.axes[-1]
    named = {text.get_text(): text.get_color() for text in axes.texts}
    assert named.pop("NIGT") == style.COLOURS["nigt"] and named.pop("SGD") == style.COLOURS["baseline"]
    assert set(named) == {"Adam", "AdamW", "LARS", "LAMB", "AdaGrad", "Adafactor"} and set(named.values()) == {"0.35"}


def test_what_diverged_is_marked_on_the_axis_at_its_own_rate(figure):
    table = sweep.best(RESULTS)
    for axes in figure.axes:
        own = table[(table.panel == axes.get_title(loc="left")) & table.selection.isna()]
        crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
        assert sorted(x for line in crosses for x in line.get_xdata()) == sorted(own.eta0)
        assert {y for line in crosses for y in line.get_ydata()} <= {axes.get_ylim()[0]}
