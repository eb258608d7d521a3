"""The figure of every trial: a panel a task and length, and what diverged at its own η0."""

from scripts.figures import sweep
from tests.conftest import ROOT

LAPTOP = ROOT / "results" / "laptop"


def test_each_length_has_its_panel_with_the_best_trial_of_every_arm():
    figure = sweep.draw(LAPTOP)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert len(panels) == len(figure.axes) and next(iter(panels)) == "BERT, masked LM: 2,400 steps"
    assert {"BERT, masked LM: 3,000 steps from ckpt-3000", "ResNet, top-1: 1,284 steps"} <= set(panels)
    table = sweep.trials(LAPTOP)
    own = table[(table.task == "bert") & table.bindings.str.contains("train_steps=2400")]
    shown = {text.get_text() for text in panels["BERT, masked LM: 2,400 steps"].texts}
    assert shown == {"NIGT", "Adam", "SGD"}
    drawn = [max(line.get_ydata()) for line in panels["BERT, masked LM: 2,400 steps"].get_lines()]
    assert set(own.groupby("optimizer").selection.max()) <= set(drawn)


def test_a_cross_stands_at_an_η0_at_which_all_trials_of_an_arm_diverged():
    figure = sweep.draw(LAPTOP)
    (axes,) = (axes for axes in figure.axes if axes.get_title(loc="left") == "ResNet, top-1: 1,284 steps")
    table = sweep.trials(LAPTOP)
    lost = table[(table.task == "resnet") & table.selection.isna()]
    crosses = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "x"]
    assert crosses and set(crosses) <= set(lost.eta0)
    nigt = lost[lost.name.str.startswith("resnet_nigt-")]
    assert len(nigt) and set(nigt.eta0) <= set(crosses)
