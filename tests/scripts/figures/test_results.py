"""Collecting runs and drawing Figure 1, end to end, on run directories made here (their numbers are invented)."""

import csv
import json
import math
import pathlib
import shlex
import subprocess
import sys

import pytest
from matplotlib.colors import to_hex

from data.errors import InputError
from scripts.figures import collect, figure1, style
from tests.conftest import ROOT
from tests.scripts.figures.layout import faults
from trainers.schema.tasks import TASKS

METRIC = {"bert": "masked_lm_accuracy", "resnet": "accuracy"}
STEPS = tuple(range(100, 1001, 100))


def make_run(parent: pathlib.Path, task: str, optimizer: str, eta0=0.01, seed=0, top=0.5, **record) -> pathlib.Path:
    """Writes the files of a run whose validation accuracy climbs to `top`."""
    directory = parent / f"{task}_{optimizer}_{eta0:g}_{seed}"
    directory.mkdir(parents=True)
    fields = {"run_id": f"{directory.name}-made-up", "task": task, "scale": "laptop", "optimizer": optimizer}
    fields |= {"eta0": eta0, "seed": seed, "commit": "0123456789abcdef", "dirty": False, "versions": {}}
    fields |= {"device": "none", "strategy": "one_device", "started": "2020-01-01T00:00:00+00:00"}
    fields |= {"finished": "2020-01-01T01:00:00+00:00", "status": "ok", "steps": STEPS[-1], "preemptions": 0}
    fields |= {"command": "python -m nothing", "metric": METRIC[task]} | record
    (directory / "run.json").write_text(json.dumps(fields))
    (directory / "config.gin").write_text("# none\n")
    (directory / "train.log").write_text("none\n")
    lines = ["step,examples,wall_s,split,name,value"]
    for step in STEPS:
        value = top * (1 - math.exp(-5 * step / STEPS[-1])) / (1 - math.exp(-5)) + (seed - 1) * 0.01
        splits = {"selection": value + 0.001, "validation": value} | (
            {"validation_x": value - 0.003} if optimizer == "nigt" else {}
        )
        lines.append(f"{step},{step * 32},{step / 7:.3f},train,loss,{1 / step!r}")
        lines.append(f"{step},{step * 32},{step / 7:.3f},train,learning_rate,{1 / step!r}")
        lines += [f"{step},{step * 32},{step / 7:.3f},{split},{METRIC[task]},{v!r}" for split, v in splits.items()]
    (directory / "metrics.csv").write_text("\n".join(lines) + "\n")
    return directory


def make_all(parent: pathlib.Path) -> pathlib.Path:
    """Runs of all four lines of the figure, NIGT on BERT with three seeds."""
    for seed in (0, 1, 2):
        make_run(parent, "bert", "nigt", 0.001, seed, 0.50)
    make_run(parent, "bert", "adam", 0.0001, 1, 0.45)
    make_run(parent, "resnet", "nigt", 0.01, 1, 0.80)
    make_run(parent, "resnet", "sgd", 0.4, 1, 0.78)
    return parent


@pytest.fixture
def collected(tmp_path) -> pathlib.Path:
    """A results directory of make_all's runs."""
    collect.collect([str(make_all(tmp_path / "runs"))], str(tmp_path / "results"), "final", "a command")
    return tmp_path / "results"


def read(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def snapshot(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", f"scripts.figures.{module}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_collects_every_run_with_its_curves_and_logs(collected):
    runs, curves = read(collected / "runs.csv"), read(collected / "curves.csv")
    assert list(runs[0]) == list(collect.RUN_COLUMNS) and list(curves[0]) == list(collect.CURVE_COLUMNS)
    assert len(runs) == 6 and {run["phase"] for run in runs} == {"final"}
    source = collected.parent / "runs"
    for run in runs:
        name = run["run_id"].removesuffix("-made-up")
        measured = read(source / name / "metrics.csv")
        assert run["final_value"] == [m["value"] for m in measured if m["split"] == "validation"][-1]
        assert run["wall_s"] == measured[-1]["wall_s"] and run["dirty"] == "false"
        own = [c for c in curves if c["run_id"] == run["run_id"]]
        assert [c["value"] for c in own] == [m["value"] for m in measured if m["name"] != "learning_rate"]
        for log in ("run.json", "metrics.csv", "config.gin", "train.log"):
            assert (collected / "logs" / name / log).read_bytes() == (source / name / log).read_bytes()


def test_collecting_twice_and_from_the_logs_changes_nothing(collected):
    before = snapshot(collected)
    collect.collect([str(collected.parent / "runs")], str(collected), "final", "a command")
    assert snapshot(collected) == before
    collect.collect([str(collected / "logs")], str(collected), "final", "a command")
    assert snapshot(collected) == before


def test_the_same_run_replaces_its_rows_and_the_others_stay(collected, tmp_path):
    before = {run["run_id"]: run for run in read(collected / "runs.csv")}
    again = tmp_path / "again"
    make_run(again, "bert", "adam", 0.0001, 1, 0.47)
    collect.collect([str(again)], str(collected), "tune", "a command")
    after = {run["run_id"]: run for run in read(collected / "runs.csv")}
    changed = {name for name in before if after[name] != before[name]}
    assert after.keys() == before.keys() and changed == {"bert_adam_0.0001_1-made-up"}
    assert after[changed.pop()]["phase"] == "tune"
    assert len(read(collected / "curves.csv")) == sum(len(STEPS) * (4 if "nigt" in name else 3) for name in after)


def test_a_comma_may_belong_to_a_run_s_name(tmp_path):
    directories = [tmp_path / name for name in ("bert_nigt-eta0=0.01,beta=0.5-s0", "plain", "a,b,c")]
    for seed, directory in enumerate(directories):
        make_run(directory, "bert", "nigt", 0.01, seed, 0.5)
    runs = f"--runs={','.join(map(str, directories))}"
    done = run_module("collect", runs, f"--output={tmp_path / 'results'}")
    assert done.returncode == 0 and "3 run(s) collected" in done.stdout, done.stderr
    refused = run_module("collect", f"{runs},none,plain", f"--output={tmp_path / 'results'}")
    assert refused.returncode == 2 and "none" in refused.stderr and "none,plain" not in refused.stderr


def test_another_run_of_the_same_name_needs_replace(collected, tmp_path):
    directory = make_run(tmp_path / "again", "resnet", "sgd", 0.4, 1, 0.70, run_id="another")
    before = snapshot(collected)
    with pytest.raises(InputError, match=r"of another run, resnet_sgd_0\.4_1-made-up.*--replace"):
        collect.collect([str(directory)], str(collected), "final", "a command")
    assert snapshot(collected) == before
    collect.collect([str(directory)], str(collected), "final", "a command", replace=True)
    ids = [run["run_id"] for run in read(collected / "runs.csv") if run["task"] == "resnet"]
    assert sorted(ids) == ["another", "resnet_nigt_0.01_1-made-up"]


def test_a_diverged_run_is_kept_without_a_final_value(collected, tmp_path):
    directory = make_run(tmp_path / "more", "resnet", "nigt", 0.01, 2, status="diverged", steps=400)
    with open(directory / "metrics.csv", "a") as file:
        file.write("401,12832,60.0,train,loss,nan\n")
    collect.collect([str(directory)], str(collected), "final", "a command")
    row = {run["run_id"]: run for run in read(collected / "runs.csv")}["resnet_nigt_0.01_2-made-up"]
    assert (row["status"], row["final_value"]) == ("diverged", "")
    legend = figure1.draw(collected).axes[1].get_legend().get_texts()
    assert legend[0].get_text() == "NIGT: 80.00 % (η₀ = 0.01, n = 1 of 2)"
    assert "| diverged |" in (collected / "table.md").read_text()


def test_the_table_has_ours_beside_the_papers(collected):
    text = (collected / "table.md").read_text()
    assert text.startswith("Made by `a command` at ") and "commit 0123456" in text.splitlines()[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    assert rows[0][-1] == "the paper's, at its scale"
    by_key = {(row[0], row[2], row[5]): row for row in rows[2:]}
    nigt = by_key["BERT, masked LM", "NIGT", "1"]
    assert nigt[6:] == ["1,000", "50.00", "49.70", "1,000 → 50.00", "2 min 23 s", "70.91"]
    mean = by_key["BERT, masked LM", "NIGT", "mean (min–max), n = 3"]
    assert mean[7] == "50.00 (49.00–51.00)" and mean[-1] == "70.91"
    assert by_key["ResNet, top-1", "SGD", "1"][7:9] == ["78.00", "–"]
    assert [by_key[k][-1] for k in by_key if k[1] == "SGD" or k[1] == "Adam"] == ["70.76", "76.20"]


def test_runs_with_other_bindings_are_another_setting(tmp_path):
    """Their means are not mixed; the column says in what they differ."""
    for seed in (1, 2):
        for beta in (0.5, 0.9):
            directory = make_run(tmp_path / "runs" / str(beta), "resnet", "nigt", 0.01, seed, beta)
            record = json.loads((directory / "run.json").read_text())
            record["run_id"] = f"{beta}-{seed}"
            record["command"] += f" --gin_param=eta0=0.01 --gin_param=nigt.beta={beta}"
            (directory / "run.json").write_text(json.dumps(record))
            directory.rename(tmp_path / "runs" / f"{beta}-{seed}")
    for seed, beta in ((1, 0.5), (2, 0.5), (1, 0.9), (2, 0.9)):
        collect.collect([str(tmp_path / "runs" / f"{beta}-{seed}")], str(tmp_path / "results"), "ablation", "a command")
    rows = (tmp_path / "results" / "table.md").read_text().splitlines()
    means = [[cell.strip() for cell in row.split("|")][5:9] for row in rows if "mean (" in row]
    assert [(bindings, seed) for bindings, seed, *_ in means] == [
        (f"nigt.beta={beta}", "mean (min–max), n = 2") for beta in (0.5, 0.9)
    ]


def test_best_is_chosen_on_selection_not_on_validation(tmp_path):
    directory = make_run(tmp_path / "runs", "resnet", "sgd", 0.4, 1, 0.5)
    with open(directory / "metrics.csv", "a") as file:
        file.write("500,16000,71.4,selection,accuracy,0.9\n500,16000,71.4,validation,accuracy,0.25\n")
    collect.collect([str(directory)], str(tmp_path / "results"), "final", "a command")
    assert "| 500 → 25.00 |" in (tmp_path / "results" / "table.md").read_text()


def _drop_column(directory):
    text = (directory / "metrics.csv").read_text()
    (directory / "metrics.csv").write_text(text.replace("wall_s", "seconds"))


def _drop_last_step(directory):
    lines = (directory / "metrics.csv").read_text().splitlines()
    (directory / "metrics.csv").write_text("\n".join(line for line in lines if not line.startswith("1000,")) + "\n")


def _cut_last_line(directory):
    (directory / "metrics.csv").write_text((directory / "metrics.csv").read_text()[:-30])


def _garble(directory):
    with open(directory / "metrics.csv", "a") as file:
        file.write("1000,32000,9.0,validation,accuracy,high\n")


def _drop_field(directory):
    record = json.loads((directory / "run.json").read_text())
    del record["device"]
    (directory / "run.json").write_text(json.dumps(record))


def _set_status(status):
    def change(directory):
        record = json.loads((directory / "run.json").read_text())
        (directory / "run.json").write_text(json.dumps(record | {"status": status}))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_set_status("running"), r"bad/bert_adam_0\.1_0/run\.json: status is 'running'; finish the run"),
        (_set_status("interrupted"), r"run\.json: status is 'interrupted'"),
        (_drop_column, r"metrics\.csv: column wall_s is missing"),
        (_drop_last_step, r"metrics\.csv: no validation masked_lm_accuracy at the run's last step, 1000"),
        (_cut_last_line, r"metrics\.csv, line 41: incomplete"),
        (_garble, r"metrics\.csv, line 42: value is 'high', not a number"),
        (_drop_field, r"run\.json: device is missing"),
        (lambda directory: (directory / "run.json").write_text("{"), r"run\.json: not JSON"),
        (lambda directory: (directory / "run.json").unlink(), r"run\.json is missing: finish the run"),
        (lambda directory: (directory / "metrics.csv").unlink(), r"metrics\.csv is missing"),
    ],
)
def test_a_bad_run_is_refused_by_name_and_nothing_is_written(collected, damage, message):
    bad = collected.parent / "bad"
    make_run(bad, "bert", "nigt", 0.1, 0)
    damage(make_run(bad, "bert", "adam", 0.1, 0))
    before = snapshot(collected)
    with pytest.raises(InputError, match=message) as caught:
        collect.collect([str(bad)], str(collected), "final", "a command")
    assert "\n" not in str(caught.value)
    assert snapshot(collected) == before
    fresh = collected.parent / "fresh"
    with pytest.raises(InputError, match=message):
        collect.collect([str(bad)], str(fresh), "final", "a command")
    assert not fresh.exists()


def test_broken_results_are_refused_by_column_and_stay(collected):
    text = (collected / "runs.csv").read_text()
    (collected / "runs.csv").write_text(text.replace("final_value", "last_value", 1))
    before = snapshot(collected)
    for use in (figure1.draw, lambda d: collect.collect([str(d.parent / "runs")], str(d), "final", "a command")):
        with pytest.raises(InputError, match=r"runs\.csv: column final_value is missing"):
            use(collected)
    assert snapshot(collected) == before


def test_the_figure_shows_the_curves_and_the_papers_end_points(collected):
    curves = read(collected / "curves.csv")
    figure = figure1.draw(collected)
    assert faults(figure) == []
    expected = {
        "bert": (("nigt", "NIGT: 50.00 % (η₀ = 0.001, n = 3)"), ("adam", "Adam: 45.00 % (η₀ = 0.0001)")),
        "resnet": (("nigt", "NIGT: 80.00 % (η₀ = 0.01)"), ("sgd", "SGD: 78.00 % (η₀ = 0.4)")),
    }
    *panels, paper = figure.axes
    for axes, (task, lines) in zip(panels, expected.items(), strict=True):
        for drawn, (optimizer, label) in zip(axes.get_lines(), lines, strict=True):
            assert drawn.get_label() == label
            assert to_hex(drawn.get_color()).upper() == style.COLOURS["nigt" if optimizer == "nigt" else "baseline"]
            own = [c for c in curves if (c["task"], c["optimizer"], c["split"]) == (task, optimizer, "validation")]
            for step, value in zip(*drawn.get_data(), strict=True):
                at_step = [100 * float(c["value"]) for c in own if int(c["step"]) == step]
                assert value == pytest.approx(sum(at_step) / len(at_step), rel=1e-12)
            assert list(drawn.get_xdata()) == list(STEPS)
        assert axes.get_xlabel() == "training steps" and axes.get_ylabel().endswith("accuracy [%]")
    band = panels[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(51) and len(panels[1].collections) == 0
    finals = sorted(value for task in TASKS.values() for value in task.paper_final.values())
    assert sorted(value for line in paper.get_lines() for value in line.get_xdata()) == finals
    assert "NIGT 70.91 %" in [text.get_text() for text in paper.texts]


def test_runs_from_a_checkpoint_have_a_panel_of_their_own_that_goes_on_from_its_step(collected, tmp_path):
    """As `make demo` collects them: from the baseline's own run, all of them final."""
    make_run(tmp_path / "more", "bert", "adam", 0.0001, 1, 0.45, run_id="bert_adam-0")
    for checkpoint, top in ((400, 0.6), (1000, 0.7)):  # the figure has those of the first
        for optimizer in ("nigt", "adam"):
            binding = f"bert_pretraining.init_checkpoint='runs/demo/bert_adam/ckpt-{checkpoint}'"
            command = shlex.join(["python", "-m", "trainers.train", f"--gin_param={binding}"])
            record = {"command": command, "run_id": f"{optimizer}-{checkpoint}", "seed": 1}
            made = make_run(tmp_path / "made", "bert", optimizer, 0.01, **record, top=top)
            made.rename(tmp_path / "more" / f"{optimizer}-{checkpoint}")
    collect.collect([str(tmp_path / "more")], str(collected), "final", "a command", replace=True)
    figure = figure1.draw(collected)
    assert faults(figure) == []
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] == ["(a) BERT from scratch, laptop scale", "(b) BERT from Adam's step 400, laptop scale"]
    before, *lines = figure.axes[1].get_lines()
    source = 100 * figure1.load(collected).curves.query("run_id == 'bert_adam-0' and split == 'validation'").value
    assert list(before.get_xdata()) == [100, 200, 300, 400] and list(before.get_ydata()) == list(source[:4])
    for line in lines:
        assert list(line.get_xdata()) == [400, *(400 + step for step in STEPS)]
        assert line.get_ydata()[0] == before.get_ydata()[-1] and line.get_ydata()[-1] == pytest.approx(60)
    assert list(figure.axes[0].get_lines()[1].get_xdata()) == list(STEPS)
    assert figure1.end_points(collected).panel.tolist()[2:4] == ["BERT from Adam's step 400"] * 2


def test_a_missing_panel_is_refused_by_name_unless_partial(tmp_path):
    """At the paper's scale, as whoever has only run BERT has it."""
    make_run(tmp_path / "runs", "bert", "nigt", 0.001, scale="paper")
    make_run(tmp_path / "runs", "bert", "adam", 0.0001, scale="paper")
    collect.collect([str(tmp_path / "runs")], str(tmp_path / "results"), "final", "a command")
    with pytest.raises(InputError, match=r"runs\.csv: no final run of resnet nigt: train it \(`make resnet-nigt`\)"):
        figure1.draw(tmp_path / "results")
    figure = figure1.draw(tmp_path / "results", partial=True)
    assert faults(figure) == [] and figure.axes[0].get_title(loc="left") == "(a) BERT from scratch, paper scale"
    assert len(figure.axes[0].get_lines()) == 2 and figure.axes[1].texts[0].get_text() == "no runs yet"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"eta0": 0.1, "seed": 1}, r"final runs of resnet sgd have more than one eta0, \[0\.1, 0\.4\]"),
        ({"eta0": 0.4, "seed": 1, "run_id": "twin"}, r"final runs of resnet sgd have seed 1 more than once"),
    ],
)
def test_runs_that_are_not_seeds_of_one_setting_are_refused(collected, tmp_path, extra, message):
    directory = make_run(tmp_path / "more", "resnet", "sgd", **extra)
    collect.collect([str(directory.rename(directory.with_name("extra")))], str(collected), "final", "a command")
    with pytest.raises(InputError, match=message):
        figure1.draw(collected)


def test_files_that_disagree_are_refused(collected):
    text = (collected / "curves.csv").read_text()
    (collected / "curves.csv").write_text(
        text.replace("accuracy,1000,32000,142.857,0.78", "accuracy,1000,32000,142.857,0.79")
    )
    with pytest.raises(InputError, match=r"disagree on resnet_sgd_0\.4_1-made-up's end"):
        figure1.draw(collected)


def test_the_command_lines(tmp_path):
    runs, output = make_all(tmp_path / "runs"), tmp_path / "results"
    done = run_module("collect", f"--runs={runs}", f"--output={output}", "--phase=final")
    assert done.returncode == 0, done.stderr
    assert (output / "table.md").read_text().startswith(f"Made by `python -m scripts.figures.collect --runs={runs} ")
    for name in ("one.png", "two.png"):
        drawn = run_module("figure1", f"--results={output}", f"--output={tmp_path / name}")
        assert drawn.returncode == 0, drawn.stderr
        assert drawn.stdout == f"figure1: {tmp_path / name} {(tmp_path / name).with_suffix('.pdf')}\n"
    for kind, start, absent in (("png", b"\x89PNG\r\n\x1a\n", b"Software"), ("pdf", b"%PDF-", b"Date")):
        picture = (tmp_path / f"one.{kind}").read_bytes()
        assert picture.startswith(start) and picture == (tmp_path / f"two.{kind}").read_bytes()
        assert absent not in picture

    refused = run_module("figure1", f"--results={tmp_path / 'nowhere'}")
    assert refused.returncode == 2 and not (tmp_path / "nowhere").exists()
    assert refused.stderr.count("\n") == 1 and f"{tmp_path / 'nowhere' / 'runs.csv'} is missing" in refused.stderr
    refused = run_module("collect", f"--runs={tmp_path / 'nowhere'}", f"--output={output}")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1


def test_neither_program_imports_tensorflow():
    code = "import sys, scripts.figures.collect, scripts.figures.figure1; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
