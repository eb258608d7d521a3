"""A run that starts from another run's weights, at w; and what both log of their norms."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory

from data.errors import InputError
from scripts.soak import kills
from scripts.soak.forked import Run, arguments
from trainers import gin_files
from trainers.tasks import initial_weights

SETTINGS = dict(train_steps=20, validation_interval=10, experiment__steps_per_loop=10, experiment__norms=True)
STILL = dict(eta0=1e-30, train_steps=1, validation_interval=1)  # a run that moves nothing


def _train(name, directory, laptop_data, **bindings):
    run = Run(arguments(name, directory, laptop_data, **(SETTINGS | bindings)), directory.with_suffix(".out"))
    return run, run.wait(500)


@pytest.fixture(scope="module", params=["float32", pytest.param("bfloat16", marks=pytest.mark.heavy)])
def source(request, laptop_data, tmp_path_factory):
    """A finished run of NIGT, whose checkpoints hold x."""
    directory = tmp_path_factory.mktemp("source") / "bert_nigt"
    rounded = {"nigt__momentum_dtype": repr(request.param)}
    run, status = _train("bert_nigt", directory, laptop_data, warmup_polynomial_decay__warmup_steps=5, **rounded)
    assert status == 0, run.text()[-1000:]
    return directory


def _evaluation(directory, step, split):
    return {(name, value) for at, _, of, name, value in kills.metrics(directory) if (at, of) == (step, split)}


@pytest.mark.parametrize("start", ["ckpt-10", "best_ckpt"])
def test_the_first_evaluation_is_the_sources_at_w(source, start, laptop_data, tmp_path):
    """Adam, with a rate that moves nothing, from NIGT's checkpoint: the same numbers, to the last digit."""
    path = source / start
    still = STILL | {"bert_pretraining__init_checkpoint": repr(str(path)), "warmup_polynomial_decay__warmup_steps": 0}
    run, status = _train("bert_adam", tmp_path / "run", laptop_data, **still)
    assert status == 0, run.text()[-1000:]
    step = initial_weights.find(str(path)).rpartition("-")[2]
    for split in ("selection", "validation"):
        found = _evaluation(tmp_path / "run", "1", split)
        assert found == _evaluation(source, step, split) != _evaluation(source, step, "validation_x")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["init_checkpoint"] == initial_weights.digest(str(path)) and record["steps"] == 1
    assert "init_checkpoint" not in json.loads((source / "run.json").read_text())


def test_a_run_goes_on_from_its_own_checkpoint_and_refuses_other_weights(source, laptop_data, tmp_path):
    copy, directory = tmp_path / "copy", tmp_path / "run"
    copy.mkdir()
    for file in source.glob("ckpt-10.*"):
        (copy / file.name).write_bytes(file.read_bytes())
    start = {"bert_pretraining__init_checkpoint": repr(str(copy / "ckpt-10"))}
    for _ in range(2):  # the second is done already
        _, status = _train("bert_nigt", directory, laptop_data, warmup_polynomial_decay__warmup_steps=5, **start)
        assert status == 0
    trained = kills.variables(directory)
    with open(copy / "ckpt-10.index", "ab") as file:
        file.write(b"x")
    run, status = _train("bert_nigt", directory, laptop_data, warmup_polynomial_decay__warmup_steps=5, **start)
    assert status == 2 and "holds a run from other weights" in run.text()
    assert all(np.array_equal(value, kills.variables(directory)[name]) for name, value in trained.items())


@pytest.mark.parametrize(
    ("path", "bindings", "message"),
    [
        ("ckpt-11", {}, "no such checkpoint"),
        ("export", {}, "no such checkpoint"),
        ("ckpt-10", {"bert_pretraining__hidden_size": 64}, "of another model"),
    ],
)
def test_a_wrong_checkpoint_is_one_line_and_leaves_nothing(path, bindings, message, source, laptop_data, tmp_path):
    wrong = {"bert_pretraining__init_checkpoint": repr(str(source / path))} | bindings
    run, status = _train("bert_adam", tmp_path / "run", laptop_data, warmup_polynomial_decay__warmup_steps=5, **wrong)
    (line,) = [line for line in run.text().splitlines() if line.startswith("trainers.train: ")]
    assert status == 2 and message in line and "init_checkpoint" in line
    assert not list((tmp_path / "run").glob("ckpt*"))


def test_the_norms_are_those_of_w(source):
    """‖w‖ at both evaluations, from the checkpoints; a kernel's relative step is η where steps are normalized."""
    experiment = gin_files.load(str(source / "config.gin"), [])
    for step in (10, 20):
        model = task_factory.get_task(experiment.config.task).build_model()
        settings = types.SimpleNamespace(init_checkpoint=str(source / f"ckpt-{step}"))
        read = tf.train.Checkpoint(model=model).read
        given = model.trainable_variables
        initial_weights.read(
            settings, model, given, lambda _, r=read, s=settings: r(s.init_checkpoint).expect_partial()
        )
        logged = {row[3]: float(row[4]) for row in kills.metrics(source) if (row[0], row[2]) == (str(step), "norms")}
        for variable in model.trainable_variables:
            name = variable.name.split(":")[0]
            assert logged[f"norm/{name}"] == pytest.approx(np.linalg.norm(variable.numpy()), rel=1e-5), name
            if name.endswith("kernel") and "pooler" not in name:  # the pooler has no gradient
                eta = 0.01 * (1 - (step - 1) / 20)
                # ‖x‖ is what η is relative to, and β/(1 − β) steps ahead of w.
                assert logged[f"relative_step/{name}"] == pytest.approx(eta, rel=0.05), name
        assert len(logged) == 2 * len(model.trainable_variables)


def test_a_checkpoint_is_found_by_its_name_or_its_folder(source):
    assert initial_weights.find(str(source)).endswith("ckpt-20")
    with pytest.raises(InputError, match="no such checkpoint; name one as RUN/ckpt-3000"):
        initial_weights.find(str(source / "nothing"))
