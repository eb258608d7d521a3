"""The trainers end to end on the real laptop data: what a run leaves, evaluation at w, resuming, exit statuses."""

import csv
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import types

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory
from official.nlp.data import pretrain_dataloader

from scripts.soak.forked import Run
from tests.conftest import ROOT
from trainers import gin_files

# Small models: these tests are about the run, not about the result.
SMALL = {
    "bert": [
        "batch_size=4",
        "bert_pretraining.hidden_size=32",
        "bert_pretraining.intermediate_size=32",
        "bert_pretraining.layers=1",
        "bert_pretraining.dropout=0.1",
        "bert_pretraining.evaluation_limit=64",
    ],
    "resnet": ["batch_size=32", "resnet_classification.depth=10", "resnet_classification.width=0.125"],
}


def _command(name, directory, laptop_data, *bindings, mode="train_and_eval", seed=0):
    task = name.split("_")[0]
    folder = {"bert": "manuals", "resnet": "images"}[task]
    data = {"bert": "bert_pretraining", "resnet": "resnet_classification"}[task]
    settings = [f"{data}.data_dir='{laptop_data / folder}'", *SMALL[task], *bindings]
    return [
        *(sys.executable, "-m", "trainers.train", f"--gin_file=configs/laptop/{name}.gin", f"--seed={seed}"),
        *(f"--model_dir={directory}", f"--mode={mode}", "--threads=1"),
        *(f"--gin_param={setting}" for setting in settings),
    ]


def _run(*arguments, **options):
    """The command in a fork of a process that has TensorFlow loaded."""
    descriptor, output = tempfile.mkstemp(prefix="test-training-")
    os.close(descriptor)
    run = Run(["train", *_command(*arguments, **options)[3:]], pathlib.Path(output))
    done = types.SimpleNamespace(returncode=run.wait(500), stderr=run.text())
    os.unlink(output)
    assert "Traceback" not in done.stderr or done.returncode == 1, done.stderr
    return done


def _metrics(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def _variables(checkpoint):
    reader = tf.train.load_checkpoint(str(checkpoint))
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


def _last(directory):
    return _variables(tf.train.latest_checkpoint(str(directory)))


def _assert_same(first, second):
    assert first.keys() == second.keys() and first
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


STEPS = ["train_steps=40", "validation_interval=20", "experiment.steps_per_loop=10"]


@pytest.fixture(scope="module", params=["bert_nigt", "resnet_nigt", "resnet_sgd"])
def finished(request, laptop_data, tmp_path_factory):
    """(name, directory) of a finished run of 40 steps with two evaluations."""
    directory = tmp_path_factory.mktemp("runs") / request.param
    done = _run(request.param, directory, laptop_data, *STEPS)
    assert done.returncode == 0, done.stderr
    return request.param, directory


def test_a_run_leaves_what_the_readme_says(finished):
    name, directory = finished
    record = json.loads((directory / "run.json").read_text())
    assert record["status"] == "ok" and record["steps"] == 40 and record["seed"] == 0
    assert (record["task"], record["optimizer"]) == tuple(name.split("_"))
    assert record["versions"]["tensorflow"] == tf.__version__ and record["started"] <= record["finished"]
    rows = _metrics(directory)
    splits = {row["split"] for row in rows}
    assert splits == {"train", "selection", "validation"} | ({"validation_x"} if "nigt" in name else set())
    assert {int(row["step"]) for row in rows if row["split"] == "train"} == {10, 20, 30, 40}
    assert {int(row["step"]) for row in rows if row["split"] == "validation"} == {20, 40}
    assert all(int(row["examples"]) == int(row["step"]) * (4 if "bert" in name else 32) for row in rows)
    assert {"loss", record["metric"]} <= {row["name"] for row in rows if row["split"] == "selection"}
    assert list(directory.glob("train/events*")) and list(directory.rglob("validation/**/events*"))
    log = (directory / "train.log").read_text().splitlines()
    assert len(log) == 7 and len([line for line in log if "loss" in line]) == 4  # one line an event
    values = {(row["split"], row["step"]): float(row["value"]) for row in rows if row["name"] == record["metric"]}
    for step, line in zip(("20", "40"), (line for line in log if "selection" in line), strict=False):
        selection, validation = values["selection", step], values["validation", step]
        assert f" step {step}  selection {selection:.4f}  validation {validation:.4f}  best " in line
    at_the_end = f"done: validation {values['validation', '40']:.4f} at the end (step 40); best "
    assert at_the_end in log[-1] and all(f"{directory}/{name}" in log[-1] for name in ("metrics.csv", "best_ckpt"))
    assert f"export {directory}/export; next python -m tensorboard.main --logdir={directory}" in log[-1]


def test_the_best_checkpoint_and_the_export_hold_w(finished, laptop_data):
    """The exported model, evaluated here, has the accuracy that the run logged at w for the best step."""
    name, directory = finished
    best, last = _variables(tf.train.latest_checkpoint(str(directory / "best_ckpt"))), _last(directory)
    record = json.loads((directory / "run.json").read_text())
    rows = [r for r in _metrics(directory) if r["split"] == "selection" and r["name"] == record["metric"]]
    logged = max(float(row["value"]) for row in rows)
    exported = tf.saved_model.load(str(directory / "export"))
    experiment = gin_files.load(str(directory / "config.gin"), [])
    task = task_factory.get_task(experiment.config.task)
    assert _accuracy(exported, task.build_inputs(experiment.config.task.selection_data)) == pytest.approx(
        logged, abs=1e-6
    )
    arrays = [variable.numpy() for variable in exported.model_variables]
    weights = {key: value for key, value in best.items() if key.split("/")[0] in ("model", "encoder", "masked_lm")}
    assert weights and not any("optimizer" in key for key in best)
    for value in weights.values():
        assert any(array.shape == value.shape and np.array_equal(array, value) for array in arrays)
    if logged == float(rows[-1]["value"]) > float(rows[0]["value"]):  # the best is the last, whose x is in ckpt-*
        assert any(np.any(weights[key] != last[key]) for key in weights.keys() & last.keys()) == ("nigt" in name)


def _accuracy(exported, batches):
    right = total = 0.0
    for batch in batches:
        if isinstance(batch, dict):
            names = ("input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions")
            logits = exported.serve(**{key: batch[key] for key in names})["mlm_logits"]
            labels, weights = batch["masked_lm_ids"], batch["masked_lm_weights"]
        else:
            labels, weights = batch[1], tf.ones(batch[1].shape)
            logits = next(iter(exported.signatures["serving_default"](batch[0]).values()))
        hits = tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)
        right, total = right + float(tf.reduce_sum(hits * weights)), total + float(tf.reduce_sum(weights))
    return right / total


@pytest.mark.parametrize("finished", ["bert_nigt"], indirect=True)
def test_a_second_call_does_not_train_again(finished, laptop_data):
    name, directory = finished
    before = (directory / "metrics.csv").read_bytes(), (directory / "run.json").read_bytes()
    done = _run(name, directory, laptop_data, *STEPS)
    assert done.returncode == 0 and "done already" in done.stderr and "; next " in done.stderr.splitlines()[-1]
    assert ((directory / "metrics.csv").read_bytes(), (directory / "run.json").read_bytes()) == before


def test_into_a_file_a_run_says_each_event_in_a_line(laptop_data, tmp_path):
    """Nothing of the libraries', no carriage return, no escape code."""
    steps = ("train_steps=2", "validation_interval=1", "experiment.steps_per_loop=1")
    command = _command("bert_nigt", tmp_path / "run", laptop_data, *steps)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = done.stdout.decode().split("\n")
    events = [r"step 1/2  loss .*", "step 1  selection .*", r"step 2/2  loss .*", "step 2  selection .*", "done: .*"]
    assert done.returncode == 0 and lines.pop() == "" and len(lines) == len(events), lines
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d " + event, line) for event, line in zip(events, lines, strict=True))
    assert not re.search(r"[\r\x1b]", "".join(lines))


def test_on_a_terminal_a_run_ends_with_where_things_are(laptop_data, tmp_path):
    """In a real one, of 80 columns, from a folder without runs: its directory has the binding in its name."""
    command = _command("bert_nigt", "", laptop_data, "train_steps=2", "experiment.steps_per_loop=1", "eta0 = 3e-3")
    command = [part for part in command if not part.startswith("--model_dir=")]
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    typed = f"stty cols 80 rows 24; {shlex.join(command)}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["script", "-qefc", typed, "out"], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL)
    shown = re.split(r"[\r\n]+", (tmp_path / "out").read_text())
    assert done.returncode == 0, shown
    directory = next((tmp_path / "runs" / "laptop").iterdir())
    assert directory.name.startswith("bert_nigt-data_dir=") and directory.name.endswith("-s0")
    end = shown[shown.index("done") + 1 :]
    heads = ("validation", "best", "curves", "best checkpoint", "export", "next")
    assert [line[2:19].strip() for line in end[: len(heads)]] == list(heads)
    ours = re.compile(
        r"starting TensorFlow; Ctrl-C| *\d+%\||\d\d:\d\d:\d\d step \d+  selection"
        r"|Script |done|  [a-z ]{15}  | *$"
    )
    assert not [line for line in shown if not ours.match(line)]  # nothing of the libraries'
    assert max(len(line) for line in shown[1 : shown.index("done")]) <= 80


@pytest.mark.parametrize("finished", ["bert_nigt"], indirect=True)
def test_evaluating_again_gives_the_same_and_leaves_the_record(finished, laptop_data):
    name, directory = finished
    before, record = _metrics(directory), (directory / "run.json").read_bytes()
    assert _run(name, directory, laptop_data, *STEPS, mode="eval").returncode == 0
    after = _metrics(directory)
    assert after[: len(before)] == before and (directory / "run.json").read_bytes() == record
    columns = ("step", "split", "name", "value")
    again = [[row[c] for c in columns] for row in after[len(before) :]]
    assert again == [[row[c] for c in columns] for row in before if row["step"] == "40" and row["split"] != "train"]


@pytest.mark.parametrize("finished", ["bert_nigt"], indirect=True)
def test_another_configuration_in_the_same_directory_is_refused(finished, laptop_data):
    name, directory = finished
    done = _run(name, directory, laptop_data, *STEPS, "eta0=0.00321")
    assert done.returncode == 2 and "another configuration" in done.stderr and "0.00" in done.stderr


@pytest.mark.parametrize("name", ["bert_nigt", "resnet_nigt"])
def test_evaluating_changes_nothing(name, laptop_data, tmp_path):
    """A run that evaluates every 10 steps and one that never does end in bit-identical variables; dropout is on."""
    often, never = tmp_path / "often", tmp_path / "never"
    bindings = ["train_steps=30", "experiment.steps_per_loop=10"]
    first = _run(name, often, laptop_data, *bindings, "validation_interval=10")
    second = _run(name, never, laptop_data, *bindings, "validation_interval=10", mode="train")
    assert (first.returncode, second.returncode) == (0, 0)
    assert not [row for row in _metrics(never) if row["split"] != "train"]
    _assert_same(_last(often), _last(never))


def test_algorithm_2_trains_and_the_batch_norm_of_w_is_logged(laptop_data, tmp_path):
    settings = ["train_steps=6", "validation_interval=6", "experiment.steps_per_loop=3"]
    settings += ["nigt.adaptive='algorithm2'", "nigt.gradient_bound=10.0"]
    settings += ["resnet_classification.recalibration_batches=2"]
    done = _run("resnet_nigt", tmp_path / "run", laptop_data, *settings)
    assert done.returncode == 0, done.stderr
    rows = _metrics(tmp_path / "run")
    values = {(row["split"], row["name"]): float(row["value"]) for row in rows}
    assert values["validation_bn", "accuracy"] != values["validation", "accuracy"]
    assert values["train", "skipped_steps"] == 0
    state = _last(tmp_path / "run")
    sums = [value for value in state.values() if value.dtype == np.float64]
    assert len(sums) == 2 and np.all(np.isfinite(sums)) and max(sums) > min(sums) > 300  # G_t and G_{t-1} ≥ 3g²


def test_algorithm_2_needs_a_bound_and_an_even_batch(laptop_data, tmp_path):
    done = _run("resnet_nigt", tmp_path / "run", laptop_data, "nigt.adaptive='algorithm2'")
    assert done.returncode == 2 and "gradient_bound" in done.stderr and not (tmp_path / "run").exists()
    settings = ["nigt.adaptive='algorithm2'", "nigt.gradient_bound=1.0", "batch_size=5"]
    done = _run("resnet_nigt", tmp_path / "run", laptop_data, *settings)
    assert done.returncode == 2 and "batch_size" in done.stderr and not (tmp_path / "run").exists()


def test_divergence_ends_with_status_3(laptop_data, tmp_path):
    done = _run("resnet_sgd", tmp_path / "run", laptop_data, "train_steps=60", "validation_interval=60",
                "experiment.steps_per_loop=5", "eta0=100.0", "beta=0.99",
                "resnet_classification.l2_weight_decay=10.0")  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "diverged"
    assert _metrics(tmp_path / "run")


@pytest.mark.heavy
def test_a_compiled_step_is_the_graph_s_but_for_the_masks_of_dropout(laptop_data, tmp_path):
    bindings = ["train_steps=10", "validation_interval=10", "experiment.steps_per_loop=10"]
    for compiled in (False, True):
        for dropout in (0.0, 0.1):
            more = [f"experiment.compile={compiled}", f"bert_pretraining.dropout={dropout}"]
            done = _run("bert_nigt", tmp_path / f"{compiled}{dropout}", laptop_data, *bindings, *more)
            assert done.returncode == 0, done.stderr

    def apart(dropout):
        graph, compiled = (_last(tmp_path / f"{form}{dropout}") for form in (False, True))
        # Attention does not depend on its keys' biases: their gradient is rounding alone, and NIGT divides by its norm.
        names = [name for name in graph if "/_key_dense/" not in name or "bias" not in name]
        return max(np.max(np.abs(graph[n] - compiled[n])) / max(1.0, np.max(np.abs(graph[n]))) for n in names)

    assert apart(0.0) < 1e-4 < 1e-3 < apart(0.1)


@pytest.mark.heavy
def test_the_seed_decides(laptop_data, tmp_path):
    bindings = ["train_steps=10", "validation_interval=10", "experiment.steps_per_loop=10"]
    for directory, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert _run("bert_adam", tmp_path / directory, laptop_data, *bindings, mode="train", seed=seed).returncode == 0
    _assert_same(_last(tmp_path / "a"), _last(tmp_path / "b"))
    losses = [[row["value"] for row in _metrics(tmp_path / d) if row["name"] == "loss"] for d in ("a", "c")]
    assert losses[0] != losses[1]


def test_missing_data_is_named(tmp_path):
    done = _run("bert_nigt", tmp_path / "run", tmp_path / "nowhere", *STEPS)
    assert done.returncode == 2 and "nowhere/manuals" in done.stderr and "make laptop-data" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_commonest_token_is_not_what_bert_is_measured_against_by_accident(laptop_data):
    """The demo's yardstick, recomputed from the records with tf-models-official's loader."""
    manifest = json.loads((laptop_data / "manuals" / "manifest.json").read_text())
    params = pretrain_dataloader.BertPretrainDataConfig(
        input_path=str(laptop_data / "manuals" / "validation-*.tfrecord"), is_training=False, global_batch_size=512,
        seq_length=64, max_predictions_per_seq=10, use_next_sentence_label=False, use_v2_feature_names=True,
        drop_remainder=False,
    )  # fmt: skip
    ids = np.concatenate(
        [
            b["masked_lm_ids"].numpy()[b["masked_lm_weights"].numpy() > 0]
            for b in pretrain_dataloader.BertPretrainDataLoader(params).load()
        ]
    )
    vocabulary = (laptop_data / "manuals" / "vocab.txt").read_text().splitlines()
    share = np.mean(ids == vocabulary.index(manifest["commonest_token"]))
    assert share == pytest.approx(manifest["commonest_token_accuracy"]["validation"], abs=1e-9)
