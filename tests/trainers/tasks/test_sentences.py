"""Fine-tuning: a BERT that another run pretrained learns which service a paragraph is of."""

import json
import signal

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory

from scripts.soak import kills
from scripts.soak.forked import Run, arguments
from trainers import gin_files
from trainers.input import files


def _start(name, directory, laptop_data, **bindings):
    settings = {"train_steps": 10, "validation_interval": 5, "experiment__steps_per_loop": 5} | bindings
    return Run(arguments(name, directory, laptop_data, **settings), directory.with_suffix(".out"))


@pytest.fixture(scope="module")
def source(laptop_data, tmp_path_factory):
    """A run of NIGT on the pretraining text, whose checkpoints hold x."""
    directory = tmp_path_factory.mktemp("source") / "bert_nigt"
    run = _start("bert_nigt", directory, laptop_data)
    assert run.wait(500) == 0, run.text()[-1000:]
    return directory


@pytest.fixture(scope="module")
def whole(source, laptop_data, tmp_path_factory):
    """Its encoder fine-tuned for ten steps, without a break."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    run = _start("sentences_nigt", directory, laptop_data, **_from(source))
    assert run.wait(500) == 0, run.text()[-1000:]
    return directory


def _from(source):
    return {"sentence_prediction__init_checkpoint": repr(str(source / "ckpt-10"))}


def test_it_starts_from_the_encoder_at_w(source, whole):
    """The pretrained encoder as an evaluation sees it, not as the checkpoint has it."""
    task = task_factory.get_task(gin_files.load(str(whole / "config.gin"), []).config.task)
    model = task.build_model()
    task.initialize(model)
    before = gin_files.load(str(source / "config.gin"), []).config
    pretraining = task_factory.get_task(before.task)
    pretrainer = pretraining.build_model()
    optimizer = pretraining.create_optimizer(before.trainer.optimizer_config, before.runtime)
    optimizer.build(pretrainer.trainable_variables)
    tf.train.Checkpoint(model=pretrainer, optimizer=optimizer).read(str(source / "ckpt-10")).expect_partial()
    of_encoder = pretrainer.checkpoint_items["encoder"].trainable_variables
    at_x = [variable.numpy() for variable in of_encoder]
    with optimizer.evaluating(pretrainer.trainable_variables):
        at_w = [variable.numpy() for variable in of_encoder]
    found = [variable.numpy() for variable in model.checkpoint_items["encoder"].trainable_variables]
    for one, w in zip(found, at_w, strict=True):
        np.testing.assert_array_equal(one, w)
    moved = [not np.array_equal(w, x) for w, x in zip(at_w, at_x, strict=True)]
    assert sum(moved) >= len(moved) - 2  # the pooler has no gradient there


@pytest.mark.heavy
def test_a_killed_run_goes_on_bit_for_bit(source, whole, laptop_data, tmp_path):
    killed = _start("sentences_nigt", tmp_path / "run", laptop_data, **_from(source))
    assert killed.wait_for(lambda: (tmp_path / "run" / "ckpt-5.index").exists()), killed.text()[-1000:]
    killed.send(signal.SIGKILL)
    killed.wait()
    again = _start("sentences_nigt", tmp_path / "run", laptop_data, **_from(source))
    assert again.wait(500) == 0, again.text()[-1000:]
    assert kills.metrics(tmp_path / "run") == kills.metrics(whole)
    record = json.loads((whole / "run.json").read_text())
    assert (record["task"], record["metric"], record["steps"]) == ("sentences", "cls_accuracy", 10)
    assert len(record["init_checkpoint"]) == 64


def test_records_that_do_not_fit_are_refused(laptop_data, tmp_path):
    for binding, message in (
        ({"sentence_prediction__classes": 10}, "classes is 28, not 10; correct sentence_prediction.classes"),
        ({"sentence_prediction__sequence_length": 32}, "seq_length is 64, not 32; correct sentence_prediction."),
    ):
        run = _start("sentences_nigt", tmp_path / "run", laptop_data, **binding)
        assert run.wait(300) == 2 and any(message in line for line in run.message()), run.text()[-1000:]
        assert not (tmp_path / "run").exists()


def test_each_split_has_every_service_equally_often(laptop_data):
    """By what the task itself reads; and no paragraph is in two splits."""
    seen = {}
    for split, count in (("train", 100), ("selection", 50), ("validation", 50)):
        (file,) = files.list_files(str(laptop_data / "services" / f"{split}-*"))
        records = [tf.train.Example.FromString(raw.numpy()) for raw in tf.data.TFRecordDataset(file)]
        labels = [record.features.feature["label_ids"].int64_list.value[0] for record in records]
        assert np.bincount(labels).tolist() == [count] * 28
        seen[split] = {tuple(record.features.feature["input_ids"].int64_list.value) for record in records}
    assert len(set().union(*seen.values())) > 0.99 * sum(map(len, seen.values()))  # all begin within 62 tokens
