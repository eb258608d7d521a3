"""The trainer's own functions as XLA programs of their variables: TensorFlow's side of an export."""

import contextlib
import pathlib
import tempfile
from typing import Any

import tensorflow as tf
from official.core import task_factory
from tensorflow.compiler.xla.service import hlo_pb2
from tensorflow.python.checkpoint import graph_view

from trainers.experiment import Experiment
from trainers.running import run, strategies
from trainers.running.interruption import Interruption
from trainers.running.metrics_log import MetricsLog
from trainers.running.trainer import IterateTrainer

# XLA's numbers of the types that occur (xla_data.proto).
_DTYPES = {1: "bool", 4: "int32", 5: "int64", 10: "float16", 11: "float32", 12: "float64", 16: "bfloat16"}


class Lowered:
    """A run's functions, lowered, and the variables that they read and write, by their paths in a checkpoint.

    Attributes:
      trainer, task: As trainers.running.run builds them, with the weights of init_checkpoint if there is one.
      variables: tf.Variable by path, of all that was lowered.
      modules: By name, serialized HLO: "step", "evaluate", "trained", "evaluated" and, for optimizers that have a w,
        "at_w".
      signatures: By the same names: `inputs` and `returns` as [name, dtype, shape], `variables` and `writes` as paths.
        A module's parameters are its inputs, then its variables; its results what it returns, then what it writes.
    """

    def __init__(self, experiment: Experiment):
        """Builds the trainer and lowers it; takes half a minute."""
        run.prepare(experiment)
        self.task = task_factory.get_task(experiment.config.task)
        self.variables: dict[str, tf.Variable] = {}
        self.modules: dict[str, bytes] = {}
        self.signatures: dict[str, dict] = {}
        with strategies.build("one_device").scope():
            self.trainer = _trainer(experiment, self.task)
            self._lower_all(experiment.config.task)

    @property
    def step_path(self) -> str:
        """Where the number of steps is."""
        return next(path for path, v in self.variables.items() if v is self.trainer.global_step)

    def function(self, name: str) -> Any:
        """The jit-compiled TensorFlow function that was lowered under a name, on the variables."""
        return self._functions[name]

    def _lower_all(self, config: Any) -> None:
        trainer = self.trainer

        @tf.function(jit_compile=True)
        def step(inputs: Any) -> None:
            trainer.train_step(iter([inputs]))

        @tf.function(jit_compile=True)
        def evaluate(inputs: Any) -> None:
            trainer.eval_step(iter([inputs]))

        @tf.function(jit_compile=True)
        def trained() -> Any:
            return trainer.train_loop_end()

        @tf.function(jit_compile=True)
        def evaluated() -> Any:
            return {metric.name: metric.result() for metric in [*trainer.validation_metrics, trainer.validation_loss]}

        @tf.function(jit_compile=True)
        def at_w() -> Any:
            return trainer.optimizer.iterates(trainer.model.trainable_variables)

        self._functions = {"step": step, "evaluate": evaluate, "trained": trained, "evaluated": evaluated}
        read = {"step": config.train_data, "evaluate": config.validation_data}
        examples = {name: _example(self.task, data) for name, data in read.items()}
        for name, function in self._functions.items():
            self._lower(name, function, *([examples[name]] if name in examples else []))
        if hasattr(trainer.optimizer, "iterates"):
            self._functions["at_w"] = at_w
            self._lower("at_w", at_w)
            by_variable = {id(v): path for path, v in self.variables.items()}
            for entry, variable in zip(
                self.signatures["at_w"]["returns"], trainer.model.trainable_variables, strict=True
            ):
                entry[0] = by_variable[id(variable)]

    def _lower(self, name: str, function: Any, *inputs: Any) -> None:
        flat = tf.nest.flatten(inputs)
        concrete = function.get_concrete_function(*inputs)
        # Only now: tf_keras's legacy optimizers make their slots in the first trace.
        known = _of_run(self.trainer)
        known = {id(v.handle): (f"untracked/{v.name}", v) for v in concrete.graph.variables} | known
        captured = [known[id(handle)] for handle in concrete.captured_inputs]
        module = hlo_pb2.HloModuleProto.FromString(
            function.experimental_get_compiler_ir(*inputs)(stage="hlo_serialized")
        )
        shape = module.host_program_shape
        found = [_described(parameter) for parameter in shape.parameters]
        wanted = [[t.dtype.name, list(t.shape)] for t in [*flat, *(variable for _, variable in captured)]]
        if found != wanted:
            raise AssertionError(f"{name}: XLA's parameters are not the inputs and the captured variables in order")
        structure = concrete.structured_outputs
        returned = [] if structure is None else tf.nest.flatten(structure)
        results = [_described(result) for result in shape.result.tuple_shapes]
        if not shape.result.tuple_shapes:
            results = [_described(shape.result)]
        written = {e.output_shape_index[0]: e.parameter_number for e in module.input_output_alias.entries}
        read = [path for path, _ in captured]
        names = sorted(structure) if isinstance(structure, dict) else [""] * len(returned)
        self.modules[name] = module.SerializeToString(deterministic=True)
        self.signatures[name] = {
            "inputs": [[key, *_described_tensor(t)] for key, t in zip(_names(*inputs), flat, strict=True)],
            "variables": read,
            "returns": [[key, *result] for key, result in zip(names, results, strict=False)],
            "writes": [read[written[n] - len(flat)] for n in range(len(returned), len(results))],
        }
        self.variables |= dict(captured)


def _trainer(experiment: Experiment, task: Any) -> IterateTrainer:
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        directory, batch = pathlib.Path(folder), experiment.config.task.train_data.global_batch_size
        log = MetricsLog(directory / "metrics.csv", 0, batch)
        trainer = run.build_trainer(experiment, task, directory, log, Interruption())
    trainer.initialize()
    return trainer


def _example(task: Any, data: Any) -> Any:
    """A batch of the shapes and types that the task's input gives."""
    spec = task.build_inputs(data).element_spec
    return tf.nest.map_structure(lambda tensor: tf.zeros(tensor.shape, tensor.dtype), spec)


def _names(*inputs: Any) -> list[str]:
    """Of the flat inputs; TensorFlow sorts those of a dict."""
    if not inputs:
        return []
    (batch,) = inputs
    return sorted(batch) if isinstance(batch, dict) else ["images", "labels", "weights"][: len(tf.nest.flatten(batch))]


def paths(**roots: Any) -> dict[int, tuple[str, tf.Variable]]:
    """(path, variable) of every variable below these objects, as a checkpoint of them has it, by the id of its handle.

    Names of variables are not unique; paths are.
    """
    root = tf.train.Checkpoint(**roots)  # the view holds no more than a weak reference
    objects, found = graph_view.ObjectGraphView(root)._breadth_first_traversal()
    variables = (v for v in objects if isinstance(v, tf.Variable))
    return {id(v.handle): ("/".join(part.name for part in found[v]), v) for v in variables}


def _of_run(trainer: IterateTrainer) -> dict[int, tuple[str, tf.Variable]]:
    parts = ["global_step", "model", "optimizer"]
    parts += [f"{split}_{kind}" for split in ("train", "validation") for kind in ("loss", "metrics")]
    found = paths(**{part: getattr(trainer, part) for part in parts})
    for slot in getattr(trainer.optimizer, "get_slot_names", list)():  # tf_keras's legacy optimizers
        for variable in trainer.model.trainable_variables:
            with contextlib.suppress(KeyError):  # not of one without a gradient
                own, path = trainer.optimizer.get_slot(variable, slot), found[id(variable.handle)][0]
                found[id(own.handle)] = (f"{path}/.OPTIMIZER_SLOT/optimizer/{slot}", own)
    return found


def _described(shape: Any) -> list:
    return [_DTYPES[shape.element_type], list(shape.dimensions)]


def _described_tensor(tensor: Any) -> list:
    return [tensor.dtype.name, list(tensor.shape)]
