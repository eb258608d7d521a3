"""The study's rules, on invented runs: what is chosen, when the grid widens, what the report shows."""

import base64
import dataclasses
import json
import math
import shlex

import numpy as np
import pytest

from data.errors import InputError
from scripts.figures import arms as arms_figure
from scripts.figures import collect
from scripts.figures import sweep as sweep_figure
from scripts.study import choice, comparison, plan, plateau, report
from scripts.study.__main__ import Study
from scripts.study.arm import CHECKED, GRID
from scripts.sweep.training import Ended, Trainings
from tests.conftest import ROOT
from tests.scripts.figures.layout import faults
from tests.scripts.figures.notebooks import execute
from tests.scripts.figures.test_results import make_run
from trainers import gin_files
from trainers.exit_status import ExitStatus

NIGT, SGD = plan.arms_of("resnet")


def _collect(tmp_path, training, top, **record):
    """An invented finished run by the name of a training."""
    optimizer = "sgd" if "sgd" in training.name else "nigt"
    eta0 = next(float(b.partition("=")[2]) for b in training.bindings if b.startswith("eta0="))
    directory = make_run(tmp_path / "made", training.name.split("_")[0], optimizer, eta0, training.seed, top)
    fields = {
        "run_id": f"{training.name}-0",
        "command": shlex.join(["x", *(f"--gin_param={b}" for b in training.bindings)]),
    }
    text = (directory / "run.json").read_text()
    (directory / "run.json").write_text(json.dumps(json.loads(text) | fields | record))
    named = directory.rename(tmp_path / training.name)
    collect.collect([str(named)], str(tmp_path / "results"), training.phase, "a command")


def _tune(tmp_path, arm, accuracies, grid=GRID):
    for point, top in zip(plan.points(arm, grid), accuracies, strict=True):
        diverged = math.isnan(top)
        record = {"status": "diverged", "steps": 500} if diverged else {}
        _collect(tmp_path, arm.tuning(point), 0.1 if diverged else top, **record)


def test_every_training_of_the_plan_has_a_name_of_its_own_and_loads():
    names = set()
    for arm in plan.ARMS:
        point = arm.point or plan.points(plan.model_of(arm) if arm.like else arm, GRID)[0]
        trainings = arm.final(point) + ([arm.tuning(point), arm.check(point)] if arm.is_tuned else [])
        if arm.is_tuned:
            for rate in choice.WIDEST:
                gin_files.load(arm.gin_file, [*arm.bindings, f"eta0={rate!r}"], 1)
        for training in trainings:
            assert training.name not in names and "'" not in training.name
            names.add(training.name)
        loaded = gin_files.load(trainings[0].gin_file, list(trainings[0].bindings), 1)
        assert (loaded.task.name, loaded.scale) == (arm.task, "laptop")
    trials = {"bert": 18, "bert finer grid": 12, "bert ablations": 12, "bert baselines": 18, "resnet finer grid": 3}
    for group, expected in trials.items():
        # As many trials for every side.
        assert {len(plan.points(arm, GRID)) for arm in plan.arms_of(group) if arm.is_tuned} == {expected}


def test_the_best_on_selection_is_chosen_and_what_diverged_never(tmp_path):
    _tune(tmp_path, NIGT, [0.1, 0.2, 0.5, 0.4, math.nan, math.nan])
    _tune(tmp_path, SGD, [0.1, 0.2, 0.3, 0.4, 0.6, 0.5])
    finished = choice.read(tmp_path / "results")
    assert dict(choice.point_of(NIGT, finished).values) == {"eta0": 1e-3}
    assert dict(choice.point_of(SGD, finished).values) == {"eta0": 1e-1}
    like = next(arm for arm in plan.ARMS if arm.like and arm.task == "resnet")
    assert choice.point_of(like, finished) == choice.point_of(NIGT, finished)
    assert len(choice.ranking(NIGT, GRID, finished)) == 4
    assert choice.wider([NIGT, SGD], GRID, finished) == GRID


def test_an_optimum_on_the_edge_widens_the_grid_for_all(tmp_path):
    _tune(tmp_path, NIGT, [0.6, 0.2, 0.5, 0.4, 0.1, 0.1])
    _tune(tmp_path, SGD, [0.1, 0.2, 0.3, 0.4, 0.6, 0.5])
    finished = choice.read(tmp_path / "results")
    wider = choice.wider([NIGT, SGD], GRID, finished)
    assert wider == (1e-6, *GRID)
    assert choice.point_of(SGD, finished) is None  # until the wider grid has been run
    waiting = [arm.tuning(point) for arm in (NIGT, SGD) for point in plan.points(arm, wider)]
    assert len(choice.missing(waiting, finished, tmp_path)) == 2
    for arm in (NIGT, SGD):
        _tune(tmp_path, arm, [0.3], (1e-6,))
    assert dict(choice.point_of(SGD, choice.read(tmp_path / "results")).values) == {"eta0": 1e-1}


def test_a_run_with_other_bindings_is_not_taken_for_the_plan_s(tmp_path):
    training = NIGT.tuning(plan.points(NIGT, GRID)[0])
    _collect(tmp_path, training, 0.5)
    finished = choice.read(tmp_path / "results")
    assert choice.missing([training], finished, tmp_path) == []
    changed = dataclasses.replace(training, bindings=(*training.bindings, "beta=0.5"))
    with pytest.raises(InputError, match="nigt.beta is 0.9 there and 0.5 here"):
        choice.missing([changed], finished, tmp_path)
    assert choice.missing([changed], finished, tmp_path, again=True) == [changed]
    with_a_default = dataclasses.replace(training, bindings=(*training.bindings, "nigt.weight_norm_floor=0"))
    assert choice.missing([with_a_default], finished, tmp_path) == []
    assert choice.finished_run(with_a_default, finished) is not None


def test_a_point_whose_check_at_full_length_diverged_is_not_chosen(tmp_path):
    arm = dataclasses.replace(next(a for a in plan.ARMS if a.checks), axes=())
    _tune(tmp_path, arm, [0.1, 0.2, 0.5, 0.4, 0.1, 0.1])
    best, second = choice.ranking(arm, GRID, choice.read(tmp_path / "results"))[:2]
    _collect(tmp_path, arm.check(best), 0.1, status="diverged", steps=500)
    _collect(tmp_path, arm.check(second), 0.3)
    assert choice.chosen(arm, GRID, choice.read(tmp_path / "results")) == second
    assert choice.is_on_edge(arm, plan.points(arm, GRID)[0], GRID)
    assert not choice.is_on_edge(arm, best, GRID)


@pytest.mark.parametrize(("between", "shared"), [(0.6, False), (0.3, True)])
def test_a_finer_grid_takes_the_trials_that_there_are_and_the_final_runs_too_if_it_ends_at_their_point(
    tmp_path, between, shared
):
    """Three rates, of which the middle one is the decade that was best: 0.5."""
    nigt = next(arm for arm in plan.arms_of("bert") if arm.name == "NIGT")
    finer = next(arm for arm in plan.ARMS if arm.trials_of == "NIGT")
    factor, _ = nigt.axes[0]
    fine = dataclasses.replace(finer, axes=((factor, (10, 100, 1000)),))
    values = [0.01 * n for n in range(9)] + [0.5, 0.4, 0.2] + [math.nan] * 6
    for arm in plan.arms_of("bert"):
        _tune(tmp_path, arm, values)
    finished = choice.read(tmp_path / "results")
    for point, top in zip(choice.ranking(nigt, GRID, finished), (0.5, 0.4), strict=False):
        _collect(tmp_path, nigt.check(point), top)
    waiting = choice.missing([fine.tuning(p) for p in plan.points(fine, ())], finished, tmp_path)
    assert [dict(point.values)["eta0"] for point in plan.points(fine, ())].count(1e-2) == 3 and len(waiting) == 6
    for training in waiting:
        best = training.name.startswith("bert_nigt-eta0=0.00316,excluded_learning_rate_multiplier=10-")
        _collect(tmp_path, training, between if best else 0.1)
    finished = choice.read(tmp_path / "results")
    assert choice.wider([fine], GRID, finished) == GRID
    for point in choice.ranking(fine, (), finished)[:CHECKED]:
        if fine.check(point).name not in finished:
            _collect(tmp_path, fine.check(point), between)
    finished = choice.read(tmp_path / "results")
    point = choice.point_of(fine, finished)
    assert dict(point.values) == {"eta0": 1e-2 if shared else 3.16e-3, factor: 10}
    assert choice.final_runs(fine, finished) == (nigt if shared else fine).final(point)
    assert choice.is_on_edge(fine, point, ())  # of the factors
    assert not choice.is_on_edge(finer, point, ())


def test_the_ends_of_an_arm_s_own_rates_are_its_edge_unless_another_s_trials_lie_beyond():
    (arm,) = plan.arms_of("bert ablations")
    own = {point.name: choice.is_on_edge(arm, point, GRID) for point in plan.points(arm, GRID)}
    inner = {name for name, edge in own.items() if not edge}
    assert inner == {f"eta0={rate},excluded_learning_rate_multiplier=10" for rate in ("0.01", "0.0316")}
    finer = plan.arms_of("resnet finer grid")[0]
    assert not any(choice.is_on_edge(finer, point, GRID) for point in plan.points(finer, GRID))


def test_what_ran_in_a_modified_clone_is_run_again_when_asked(tmp_path):
    clean, modified = (NIGT.tuning(point) for point in plan.points(NIGT, GRID)[:2])
    _collect(tmp_path, clean, 0.5)
    _collect(tmp_path, modified, 0.5, dirty=True)
    finished = choice.read(tmp_path / "results")
    assert choice.missing([clean, modified], finished, tmp_path) == []
    assert choice.missing([clean, modified], finished, tmp_path, again=True) == [modified]


def test_every_arm_stands_beside_a_nigt_that_differs_in_one_thing():
    beside = {(arm.task, arm.name): plan.reference(arm).name for arm in plan.ARMS}
    alone = {name for (_, name), other in beside.items() if name == other and not name.startswith("NIGT")}
    assert alone == {"Adam, source", "β 0.9, batches of 32", "β 0.9, batches of 256"}
    assert {name for name in beside.values() if not name.startswith("NIGT")} == alone
    assert beside["resnet", "β 0, batches of 32"] == "β 0.9, batches of 32"
    finer = {arm for arm, nigt in beside.items() if nigt == "NIGT, finer grid"}
    assert {name for task, name in finer if task == "resnet"} == {"NIGT, finer grid", "SGD, finer grid"}
    assert {("bert", name) for name in ("no transport", "β 0.97", "β 0.99, no transport", "LAMB")} < finer
    assert beside["bert", "SGD"] == beside["resnet", "no transport"] == beside["resnet", "SGD"] == "NIGT"
    assert beside["resnet", "SGD, shifted crops"] == beside["resnet", "NIGT, shifted crops"] == "NIGT, shifted crops"
    assert beside["bert", "Adam at the paper's rate"] == "NIGT at the paper's rate"
    for arm in plan.ARMS:  # one that goes on from other weights stands beside one that goes on from the same
        start = [{b for b in each.bindings if "init_checkpoint" in b} for each in (arm, plan.reference(arm))]
        assert start[0] == start[1]


def test_every_comparison_has_one_family_which_the_headlines_and_the_claims_use():
    for arm in plan.ARMS:
        if plan.reference(arm) != arm:
            family = plan.family(plan.reference(arm), arm)
            assert (plan.reference(arm), arm) in family and len(set(family)) == len(family)
    main = plan.family(NIGT, SGD)
    assert [theirs.task for _, theirs in main] == ["bert", "resnet"]
    assert all((ours, theirs) in plan.family(ours, theirs) for _, ours, theirs in plan.HEADLINES)
    with pytest.raises(ValueError, match="Adam − SGD is in no family"):
        plan.family(plan.find("resnet", "Adam"), SGD)


def test_a_gain_beside_a_gain(tmp_path):
    """What momentum adds at small batches beside what it adds at large ones, seed by seed."""
    finals = {"β 0.9, batches of 32": (0.5, 0.51, 0.53), "β 0, batches of 32": (0.4, 0.41, 0.42)}
    finals |= {"β 0.9, batches of 256": (0.6, 0.61, 0.62), "β 0, batches of 256": (0.58, 0.6, 0.6)}
    arms = plan.arms_of("resnet batches")
    assert {int(b.partition("=")[2]) for arm in arms for b in arm.bindings if "train_steps" in b} == {1284, 10272}
    for arm in arms:
        assert report._momentum(choice.read(tmp_path / "results")) is None
        _tune(tmp_path, arm, [0.1, 0.2, 0.5, 0.4, 0.3, 0.2])
        finished = choice.read(tmp_path / "results")
        for training, top in zip(arm.final(choice.point_of(arm, finished)), finals[arm.name], strict=True):
            _collect(tmp_path, training, top)
    finished = choice.read(tmp_path / "results")
    contrast = report.judge_contrast("resnet batches", finished)
    expected = comparison.Sample((10.0, 10.0, 11.0), 0, 3), comparison.Sample((2.0, 1.0, 2.0), 0, 3)
    for found, meant in zip((contrast.comparison.ours, contrast.comparison.theirs), expected, strict=True):
        assert found.values == pytest.approx(meant.values) and found.is_complete
    assert contrast.word == "better" and len(contrast.family) == 3
    of_a_pair = report.judge(*plan.CONTRASTS["resnet batches"][0], finished)
    assert set(of_a_pair.family) == set(contrast.family)
    _, figure = report._momentum(finished)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["batches of 32: +10.33 points (better)", "batches of 256: +1.67 points (undecided)"]
    assert faults(figure) == []


def test_steps_to_the_plateau_s_end_and_the_rates_until_then():
    schedule = gin_files.load(*(lambda arm: (arm.gin_file, [*arm.bindings, "eta0=0.01"]))(plan.find("bert", "NIGT")))
    schedule = schedule.optimizer.learning_rate
    from trainers.model_garden import schedules

    settings = {"warmup_steps": schedule.warmup_steps, "decay_steps": schedule.train_steps, "power": schedule.power}
    rates = schedules.WarmupPolynomialDecay(schedule.eta0, **settings)(np.arange(schedule.train_steps)).numpy()
    np.testing.assert_allclose(plateau.rates(schedule), rates, rtol=1e-4)  # float32 there
    curve = {"split": "validation", "name": "accuracy"}
    values = {"1000": "0.1", "3000": "0.21", "2000": "0.2", "4000": "0.19"}
    run = choice.Finished({"metric": "accuracy"}, 0.0, [curve | {"step": s, "value": v} for s, v in values.items()])
    assert plateau.left_at(run) == 2000
    assert plateau.left_at(dataclasses.replace(run, curves=run.curves[:1])) is None


def test_an_arm_waits_for_the_one_whose_point_it_takes(tmp_path):
    runner = Trainings(tmp_path / "runs", tmp_path / "results", 1, "a command")
    study = Study(tmp_path / "results", runner, 1, None, again=False)
    groups = {next(arm.group for arm in plan.ARMS if arm.like == "NIGT"): "point", "bert finer grid": "trials"}
    for group, what in groups.items():
        with pytest.raises(InputError, match=f"takes the {what} of NIGT: run that first"):
            study.run([group])


def test_a_finished_run_tells_how_many_are_left_and_for_how_long(tmp_path, capsys):
    class Runner:
        def run(self, training):
            return Ended(ExitStatus.DONE, "", 0.5, 150.0)

        def stop(self):
            raise AssertionError("nothing failed")

    study = Study(tmp_path / "results", Runner(), 1, None, again=False)
    assert study._run_all([NIGT.tuning(point) for point in plan.points(NIGT, GRID)[:3]])
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4 and said[0].startswith("study: 3 runs: ") and "about" not in said[0]
    assert [line.partition("; ")[2] for line in said[1:]] == [
        "2 runs left, about 5 min",
        "1 run left, about 2 min",
        "no run left",
    ]


def test_the_report_the_figure_and_the_notebook_show_what_there_is(tmp_path, monkeypatch):
    _tune(tmp_path, NIGT, [0.1, 0.2, 0.5, 0.4, math.nan, math.nan])
    _tune(tmp_path, SGD, [0.1, 0.2, 0.3, 0.4, 0.6, 0.5])
    for arm in plan.arms_of("resnet ablations"):
        _tune(tmp_path, arm, [0.1, 0.2, 0.5, 0.4, 0.3, 0.2])
    ablation = plan.find("resnet", "no transport")
    finished = choice.read(tmp_path / "results")
    for arm, top in ((NIGT, 0.7), (SGD, 0.6), (ablation, 0.5)):
        for training in arm.final(choice.point_of(arm, finished)):
            _collect(tmp_path, training, top)
    report.write(tmp_path / "results", "a command")
    text = (tmp_path / "results" / "study.md").read_text()
    found = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert " SGD | +10.00 " in found["ResNet, each with the paper's schedule"]
    assert found["ResNet, each with the paper's schedule"].endswith("| **better** |")
    assert found["BERT after the plateau"].endswith("| – | 0 and 0 | – | **not run** |")
    for name in ("figure1", "ablations", "sweep"):
        assert (tmp_path / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG") and f"({name}.png)" in text
        assert (tmp_path / "results" / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
    assert "optimizers.png" not in text  # none has been run
    assert "| resnet | 1,000 | 5 | 72.00 | 71.70 | +0.30 | +0.30 to +0.30 |" in text  # at w and at x
    monkeypatch.setenv("NIGT_RESULTS", str(tmp_path / "results"))
    cells = execute(ROOT / "notebooks" / "sweep.ipynb", ROOT / "notebooks")
    assert base64.b64decode(cells["figure"].outputs[0].data["image/png"]).startswith(b"\x89PNG")
    assert cells["trials"].outputs[0].data["text/html"].count("diverged") == 2
    assert "ResNet: 1,000 steps: best is SGD" in cells["figure-words"].outputs[0].data["text/markdown"]
    table = sweep_figure.trials(tmp_path / "results")
    assert len(table) == 48 and table.selection.isna().sum() == 2


def test_the_figure_of_the_arms_shows_each_with_its_distance_from_nigt():
    rows = [
        arms_figure.Row("near", (81.5, 82.5), (0.4, 1.6), 1, "better"),
        arms_figure.Row("far", (31.0, 33.0), (-50.0, -48.0), 0, "worse"),
        arms_figure.Row("lost", (), (math.nan, math.nan), 3, "worse"),
        arms_figure.Row("below", (79.0, 81.0), (-2.0, 0.0), 0, "undecided"),
    ]
    figure = arms_figure.draw("a title", (80.0, 82.0), rows, 0.5)
    assert faults(figure) == []
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lost", "far", "below", "near"]
    told = [text.get_text() for text in axes.texts]
    assert told == ["NIGT", "worse, 3 diverged", "−49.00, worse", "−1.00, undecided", "+1.00, better, 1 diverged"]
    means = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines if line.get_marker() == "|"}
    assert means == {2: -1.0, 3: 1.0}


def test_the_titles_say_what_the_rows_do():
    def rows(**words: str) -> dict[str, arms_figure.Row]:
        return {name.replace("_", " "): arms_figure.Row(name, (), (0, 0), 0, word) for name, word in words.items()}

    found = rows(no_transport="same", no_weight_norm="worse", no_normalization="worse", global_norm="undecided")
    assert report._rests_on(found) == (
        "On the ResNet, NIGT rests on scaling by ‖w‖ and normalization, not on transport"
    )
    found |= {"no weight norm, factor 1": found["global norm"]}  # one of its two arms is undecided
    assert report._rests_on(found) == "On the ResNet, NIGT rests on normalization, not on transport"
    assert report._rests_on(rows(no_transport="same")) == "NIGT on the ResNet without one of its parts"
    assert report._beside_others(rows(a="better", b="same", c="same")) == (
        "3 optimizers tuned with NIGT's schedule (ResNet): 1 better, none worse, 2 the same, none undecided"
    )
