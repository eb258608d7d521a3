"""One program as HLO: python -m scripts.tpu_check.lowering --program=bert_nigt-8 --output=FILE.

The trainer is built as trainers.running.run builds it, from the gin file of the paper's scale and from records of the
right shape, and the step is its own `train_step`. Only the batch is one core's part, and the strategy that of one
device: what a core adds under TPUStrategy, the sum of the gradients over the cores, is not in the program.
Beside FILE, FILE.json says what the program is of.
"""

import json
import pathlib
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from absl import app, flags, logging
from official.core import base_task, task_factory
from official.modeling import optimization
from tensorflow.compiler.xla.service import hlo_pb2

from scripts.tpu_check.programs import Program, all_programs
from scripts.tpu_check.targets import TARGETS
from trainers import gin_files
from trainers.experiment import Experiment
from trainers.running import run
from trainers.running.interruption import Interruption
from trainers.running.metrics_log import MetricsLog
from trainers.running.trainer import IterateTrainer

SCOPES = {"bert": "bert_pretraining", "resnet": "resnet_classification"}
_PROGRAMS = {program.name: program for target in TARGETS.values() for program in all_programs(target)}
_FURTHER = {"lars": optimization.LARSConfig, "lamb": optimization.LAMBConfig}
# A module, the optimizer and the model's variables.
Lowered = tuple[bytes, tf_keras.optimizers.Optimizer | tf_keras.optimizers.legacy.Optimizer, list[tf.Variable]]


def lower(program: Program) -> tuple[bytes, dict]:
    """The program's HLO module, serialized, and its description.

    Returns:
      The module; and parameters (of the model), state_bytes (of the optimizer), batch (of the core), steps (of the
      whole run).
    """
    whole = gin_files.load(program.gin_file, program.bindings)
    batch = whole.config.task.train_data.global_batch_size
    description = {"steps": whole.config.trainer.train_steps, "batch": 0}
    if not program.cores:
        hlo, optimizer, variables = _update(program, whole)
    else:
        if batch % program.cores:
            raise ValueError(f"{program.gin_file}: batch_size ({batch}) cannot be shared by {program.cores} cores")
        description["batch"] = batch // program.cores
        with tempfile.TemporaryDirectory() as folder:
            hlo, optimizer, variables = _step(program, description["batch"], pathlib.Path(folder))
    state = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    known = {id(v) for v in variables}
    description["parameters"] = sum(int(np.prod(v.shape)) for v in variables)
    description["state_bytes"] = sum(v.dtype.size * int(np.prod(v.shape)) for v in state if id(v) not in known)
    return _in_one_order(hlo), description


def _in_one_order(hlo: bytes) -> bytes:
    """The same module, serialized alike in every process: TensorFlow writes the entries of maps in any order."""
    return hlo_pb2.HloModuleProto.FromString(hlo).SerializeToString(deterministic=True)


def _step(program: Program, batch: int, folder: pathlib.Path) -> Lowered:
    """The trainer's whole step on a batch of one core."""
    scope = SCOPES[program.task]
    bindings = [
        f"{scope}.data_dir='{folder}'",
        f"batch_size={batch}",
        f"{scope}.evaluation_batch_size={batch}",
        "experiment.strategy='one_device'",
    ]
    experiment = gin_files.load(program.gin_file, bindings)
    run.prepare(experiment)
    trainer, task = build_trainer(experiment, folder)

    @tf.function(jit_compile=True)
    def step(inputs: Any) -> None:
        trainer.train_step(iter([inputs]))

    hlo = step.experimental_get_compiler_ir(batch_of_zeros(task, experiment))(stage="hlo_serialized")
    return hlo, trainer.optimizer, trainer.model.trainable_variables


def build_trainer(experiment: Experiment, folder: pathlib.Path) -> tuple[IterateTrainer, base_task.Task]:
    """The trainer that trainers.running.run would build, on records that are made in the folder; and its task."""
    write_records(experiment, folder)
    task = task_factory.get_task(experiment.config.task)
    batch = experiment.config.task.train_data.global_batch_size
    trainer = run.build_trainer(experiment, task, folder, MetricsLog(folder / "metrics.csv", 0, batch), Interruption())
    return trainer, task


def batch_of_zeros(task: base_task.Task, experiment: Experiment) -> Any:
    """A batch of the shapes and types that the task's own input gives."""
    spec = task.build_inputs(experiment.config.task.train_data).element_spec
    return tf.nest.map_structure(lambda tensor: tf.zeros(tensor.shape, tensor.dtype), spec)


def write_records(experiment: Experiment, folder: pathlib.Path) -> None:
    """One record of each split, of the experiment's sizes."""
    data = experiment.config.task.train_data
    if experiment.task.name == "bert":
        lengths = {name: data.seq_length for name in ("input_word_ids", "input_mask", "input_type_ids")}
        lengths |= {name: data.max_predictions_per_seq for name in ("masked_lm_positions", "masked_lm_ids")}
        features = {
            name: tf.train.Feature(int64_list=tf.train.Int64List(value=[0] * length))
            for name, length in lengths.items()
        }
        weights = tf.train.FloatList(value=[0.0] * data.max_predictions_per_seq)
        features["masked_lm_weights"] = tf.train.Feature(float_list=weights)
    else:
        image = tf.io.encode_jpeg(np.zeros(experiment.config.task.model.input_size, np.uint8)).numpy()
        features = {
            "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
            "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
        }
    record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    for split in run.SPLITS:
        with tf.io.TFRecordWriter(str(folder / f"{split}-0.tfrecord")) as writer:
            writer.write(record)


def _update(program: Program, experiment: Experiment) -> Lowered:
    """One step of the optimizer alone on the model's variables, from gradients that are given."""
    run.prepare(experiment)
    task = task_factory.get_task(experiment.config.task)
    variables = task.build_model().trainable_variables
    optimizer_config = experiment.config.trainer.optimizer_config
    if program.optimizer in _FURTHER:
        # On the schedule of the gin file; tf-models-official's other settings, which do not change what is computed.
        factory = optimization.OptimizerFactory(
            optimization.OptimizationConfig(
                optimizer=optimization.OptimizerConfig(
                    type=program.optimizer, **{program.optimizer: _FURTHER[program.optimizer]()}
                ),
                learning_rate=optimizer_config.learning_rate,
                warmup=optimizer_config.warmup,
            )
        )
        optimizer = factory.build_optimizer(factory.build_learning_rate())
    else:
        optimizer = task.create_optimizer(optimizer_config, experiment.config.runtime)

    @tf.function(jit_compile=True)
    def step(gradients: list[tf.Tensor]) -> None:
        optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))

    gradients = [tf.zeros(v.shape, v.dtype) for v in variables]
    return step.experimental_get_compiler_ir(gradients)(stage="hlo_serialized"), optimizer, variables


def main(argv: list[str]) -> int:
    """Writes the program that the flags name."""
    del argv
    logging.set_verbosity(logging.ERROR)
    hlo, description = lower(_PROGRAMS[flags.FLAGS.program])
    pathlib.Path(flags.FLAGS.output).write_bytes(hlo)
    pathlib.Path(f"{flags.FLAGS.output}.json").write_text(json.dumps(description))
    return 0


if __name__ == "__main__":
    flags.DEFINE_enum("program", None, list(_PROGRAMS), "Which.", required=True)
    flags.DEFINE_string("output", None, "The file for the module.", required=True)
    app.run(main)
