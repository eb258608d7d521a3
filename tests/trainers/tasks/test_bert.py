"""The paper's BERT-Base from the paper's gin files, on text that was built as the paper's is, on a CPU."""

import csv
import pathlib
import signal

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import task_factory

from data import vocabulary
from data.bert import build as bert_build
from data.bert import sources as bert_sources
from data.documents import SPLITS
from data.errors import InputError
from data.laptop import sample
from scripts.soak import forked
from scripts.soak.forked import Run
from tests.trainers.tasks.killed_run import killed_and_repeated, losses
from trainers import gin_files
from trainers.input import files as input_files
from trainers.running import run


def _build(folder, laptop_data, **more):
    """Text as `make bert-data` builds it, of 40 addresses, with a vocabulary that has the published one's size and
    places of the special tokens."""
    _, books = sample.write(folder, laptop_data.parent / "downloads")
    for path in sorted(books.iterdir())[40:]:
        path.unlink()
    body = (path.read_text() for path in sorted(books.iterdir()))
    tokens = [token for token in vocabulary.train(body, 8000) if token not in vocabulary.SPECIAL_TOKENS]
    head = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tokens]
    head += [f"[unused{n}]" for n in range(99, 99 + 30522 - len(head))]
    (folder / "vocab.txt").write_text("\n".join(head) + "\n")
    options = bert_build.Options(dupe_factor=1, held_out=0.1, shards=2, held_out_shards=1, **more)
    units = bert_sources.list_units(None, None, str(books))
    bert_build.build(units, str(folder / "text"), options, str(folder / "vocab.txt"))
    return folder / "text"


@pytest.fixture(scope="module")
def built(laptop_data, tmp_path_factory):
    return _build(tmp_path_factory.mktemp("paper"), laptop_data)


def _bindings(folder, **more):
    settings = {
        "bert_pretraining.data_dir": f"'{folder}'",
        "strategy": "'one_device'",  # where the paper's files say "tpu"
        "experiment.activations": "'float32'",
        "batch_size": 2,
        "train_steps": 2,
        "validation_interval": 2,
        "warmup_polynomial_decay.warmup_steps": 1,
        "bert_pretraining.evaluation_batch_size": 2,
        "bert_pretraining.evaluation_limit": 2,
    } | more
    return [f"{name} = {value}" for name, value in settings.items()]


def _require_manifest(experiment):
    input_files.require_manifest(experiment.task, "mend")


@pytest.mark.parametrize("name", ["bert_nigt", "bert_adam", "bert_sgd"])
def test_the_model_is_bert_base(built, name):
    """110,104,890 parameters; inputs of 512 tokens with 76 places to predict; all masked tokens weigh the same."""
    experiment = gin_files.load(f"configs/paper/{name}.gin", _bindings(built))
    _require_manifest(experiment)
    encoder = experiment.config.task.model.encoder.get()
    assert (encoder.num_layers, encoder.hidden_size, encoder.num_attention_heads, encoder.intermediate_size) == (
        *(12, 768, 12),
        3072,
    )
    assert (encoder.dropout_rate, encoder.attention_dropout_rate, encoder.vocab_size) == (0.1, 0.1, 30522)
    task = task_factory.get_task(experiment.config.task)
    batch = next(iter(task.build_inputs(experiment.config.task.train_data)))
    assert batch["input_word_ids"].shape == (2, 512) and batch["masked_lm_ids"].shape == (2, 76)
    assert batch["input_word_ids"].numpy()[:, 0].tolist() == [101, 101]
    if name == "bert_nigt":
        model = task.build_model()
        assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 110_104_890


def test_text_that_does_not_fit_is_refused(built, tmp_path):
    def check(**more):
        _require_manifest(gin_files.load("configs/paper/bert_nigt.gin", _bindings(built, **more)))

    for field, value, found in (
        ("vocabulary_size", 30000, "vocabulary_size is 30522, not 30000; correct bert_pretraining.vocabulary_size"),
        ("sequence_length", 128, "seq_length is 512, not 128; correct bert_pretraining.sequence_length"),
        ("max_predictions", 20, "max_predictions is 76, not 20; correct bert_pretraining.max_predictions"),
        ("next_sentence", True, "next_sentence is False, not True; correct bert_pretraining.next_sentence"),
    ):
        with pytest.raises(InputError, match=found):
            check(**{f"bert_pretraining.{field}": value})
    with pytest.raises(InputError, match=r"manifest\.json: not there; mend"):
        _require_manifest(gin_files.load("configs/paper/bert_nigt.gin", _bindings(tmp_path)))


@pytest.mark.parametrize("name", ["bert_nigt", "bert_adam", "bert_sgd"])
def test_without_text_one_line_names_the_command(name, tmp_path):
    """From the shipped files as they are, before anything is written; the command prints it and exits with 2."""
    experiment = gin_files.load(f"configs/paper/{name}.gin", [f"bert_pretraining.data_dir = '{tmp_path / 'none'}'"])
    with pytest.raises(InputError) as met:
        run.run(experiment, gin_files.operative_config(), str(tmp_path / "run"), "train_and_eval")
    assert str(met.value).startswith(f"{tmp_path / 'none'}/train-*: no such files; ") and "make bert-data" in str(
        met.value
    )
    assert "\n" not in str(met.value) and not (tmp_path / "run").exists()


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_bert_base_takes_real_steps_is_killed_and_goes_on(built, tmp_path):
    """Two steps of two sequences of 512 tokens, with a checkpoint after each; SIGKILL after the first one."""
    more = {"experiment.checkpoint_interval": 1, "experiment.steps_per_loop": 1, "experiment.keep_checkpoints": 1}
    bindings = _bindings(built, **more)
    directory, record, rows = killed_and_repeated("configs/paper/bert_nigt.gin", bindings, "ckpt-1", tmp_path)
    assert (record["status"], record["steps"], record["preemptions"]) == ("ok", 2, 1)
    found = losses(rows)
    assert {("train", 1), ("train", 2), ("selection", 2), ("validation", 2), ("validation_x", 2)} == found.keys()
    assert np.all(np.isfinite(list(found.values())))
    assert abs(found["train", 1] - np.log(30522)) < 1  # an untrained model guesses
    assert pathlib.Path(tf.train.latest_checkpoint(str(directory))).name == "ckpt-2"


def _rows(directory, name):
    if not (directory / "metrics.csv").exists():
        return []
    with open(directory / "metrics.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["name"] == name]


@pytest.mark.heavy
def test_the_step_that_reaches_the_target_is_logged_once(laptop_data, tmp_path):
    """The first evaluation whose validation at w is there; not again after the run was killed and goes on."""
    directory = tmp_path / "run"
    settings = {"train_steps": 60, "validation_interval": 10, "experiment__checkpoint_interval": 10}
    settings |= {"experiment__steps_per_loop": 10, "bert_pretraining__target": 0.03}
    arguments = forked.arguments("bert_adam", directory, laptop_data, **settings)
    first = Run(arguments, tmp_path / "first.txt")
    assert first.wait_for(lambda: bool(_rows(directory, "steps_to_target")), 300), first.text()
    first.send(signal.SIGKILL)
    first.wait()
    second = Run(arguments, tmp_path / "second.txt")
    assert second.wait(300) == 0, second.text()
    accuracies = {
        int(row["step"]): float(row["value"])
        for row in _rows(directory, "masked_lm_accuracy")
        if row["split"] == "validation"
    }
    (row,) = _rows(directory, "steps_to_target")
    reached = min(step for step, accuracy in accuracies.items() if accuracy >= 0.03)
    assert (row["split"], int(row["step"]), float(row["value"])) == ("validation", reached, reached)
    assert min(accuracies) < 60 == max(accuracies)


def test_pairs_train_with_the_next_sentence_loss(laptop_data, tmp_path):
    """Devlin et al.'s, as an option, on a small model: a head, a loss, an accuracy; filling weighs nothing."""
    folder = _build(tmp_path, laptop_data, next_sentence=True, seq_length=128, max_predictions=20)
    more = {"next_sentence": True, "sequence_length": 128, "max_predictions": 20, "layers": 1, "hidden_size": 32}
    more |= {"attention_heads": 2, "intermediate_size": 32, "evaluation_limit": 3, "dropout": 0.0}
    bindings = _bindings(folder, **{f"bert_pretraining.{name}": value for name, value in more.items()})
    experiment = gin_files.load("configs/paper/bert_nigt.gin", bindings)
    _require_manifest(experiment)
    tf_keras.utils.set_random_seed(0)
    task = task_factory.get_task(experiment.config.task)
    model = task.build_model()
    assert any("next_sentence" in v.name for v in model.trainable_variables)
    optimizer = task.create_optimizer(experiment.config.trainer.optimizer_config, experiment.config.runtime)
    batch = next(iter(task.build_inputs(experiment.config.task.train_data)))
    logits = model(batch, training=True)["next_sentence"].numpy()
    metrics = task.build_metrics()
    logs = task.train_step(batch, model, optimizer, metrics)
    values = {metric.name: float(metric.result()) for metric in metrics}
    assert float(logs["loss"] if "loss" in logs else logs[task.loss]) == pytest.approx(
        values["lm_example_loss"] + values["next_sentence_loss"], rel=1e-5
    )
    of_the_label = np.take_along_axis(logits, batch["next_sentence_labels"].numpy().reshape(-1, 1), axis=1)[:, 0]
    cross_entropy = np.log(np.exp(logits).sum(axis=1)) - of_the_label
    assert values["next_sentence_loss"] == pytest.approx(cross_entropy.mean(), rel=1e-4)
    metrics = task.build_metrics()
    batches = list(task.build_inputs(experiment.config.task.validation_data))
    for one in batches:
        task.validation_step(one, model, metrics)
    accuracy = {metric.name: metric for metric in metrics}["next_sentence_accuracy"]
    assert len(batches) == 2 and float(accuracy.count) == 3 and SPLITS  # three sequences, one filling
