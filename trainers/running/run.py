"""One run, from an experiment to its exit status."""

import functools
import os
import pathlib
import shlex
import sys

import tensorflow as tf
import tf_keras
from absl import logging
from official.core import base_task, task_factory, train_lib

from data import gfiles
from data.documents import SPLITS
from data.errors import InputError, reason
from trainers import data_folder
from trainers.exit_status import ExitStatus
from trainers.experiment import Experiment
from trainers.input import files as input_files
from trainers.running import checkpoints, failures, hparams, log, strategies, summary
from trainers.running.actions import Diverged, Watch
from trainers.running.controller import Controller
from trainers.running.directory import RunDirectory
from trainers.running.held import describe_device
from trainers.running.interruption import Interrupted, Interruption
from trainers.running.metrics_log import MetricsLog
from trainers.running.step_sizes import StepSizes
from trainers.running.trainer import IterateTrainer
from trainers.tasks import initial_weights


def run(
    experiment: Experiment,
    config: str,
    model_dir: str,
    mode: str,
    threads: int | None = None,
    interruption: Interruption | None = None,
) -> ExitStatus:
    """Trains and evaluates, or goes on where the directory's last checkpoint is.

    Args:
      experiment: From gin_files.load.
      config: Its operative gin configuration.
      model_dir: The run's directory.
      mode: "train_and_eval", "train" or "eval" (at the last checkpoint).
      threads: For TensorFlow; None: as many as there are cores.
      interruption: Says when to stop; None: nothing does.

    Returns:
      DONE, DIVERGED or INTERRUPTED.

    Raises:
      InputError: Missing, damaged or unfitting data, or a directory that is in use, holds another run or cannot be
        written.
      RunError: A full disk, or too little memory.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    parameters = experiment.config
    data = _require_data(experiment)
    task = task_factory.get_task(parameters.task, logging_dir=model_dir)
    strategy = parameters.runtime.distribution_strategy
    directory: RunDirectory | strategies.WorkerDirectory
    if strategy == "multi_worker_mirrored" and strategies.task_index():
        directory = strategies.WorkerDirectory(model_dir)
    else:
        directory = RunDirectory(
            model_dir,
            experiment,
            config,
            data,
            device=describe_device(threads) + strategies.gpus(),
            metric=task.metric,
            command=shlex.join(["python", "-m", "trainers.train", *sys.argv[1:]]),
            **_start(parameters.task.init_checkpoint),
        )
    try:
        log.start(str(directory.path))
        if (
            mode != "eval"
            and isinstance(directory, RunDirectory)
            and directory.is_finished(parameters.trainer.train_steps)
        ):
            logging.info("%s: done already (%d steps)", model_dir, directory.record["steps"])
            summary.show_end(directory.path, task.metric)
            return ExitStatus.DONE
        status = _Run(experiment, directory, model_dir, task, interruption or Interruption()).execute(mode)
        if status == ExitStatus.DONE and mode != "eval" and isinstance(directory, RunDirectory):
            summary.show_end(directory.path, task.metric)
        return status
    finally:
        directory.close()


def prepare(experiment: Experiment) -> None:
    """Seeds Python, NumPy and TensorFlow, hence the initialization, and sets the precision of the activations."""
    tf_keras.utils.set_random_seed(experiment.seed)
    if experiment.config.runtime.mixed_precision_dtype:
        tf_keras.mixed_precision.set_global_policy(f"mixed_{experiment.config.runtime.mixed_precision_dtype}")


def build_trainer(
    experiment: Experiment, task: base_task.Task, directory: pathlib.Path, log: MetricsLog, interruption: Interruption
) -> IterateTrainer:
    """The model, the optimizer and the trainer of a run, in the scope of its strategy.

    Raises:
      InputError: The model's sizes do not fit each other.
    """
    parameters = experiment.config
    try:
        model = task.build_model()
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"the model cannot be built ({reason(error)}); correct its sizes") from error
    optimizer = task.create_optimizer(parameters.trainer.optimizer_config, parameters.runtime)
    if hasattr(optimizer, "iterates"):
        # Its state must be there when a checkpoint is restored: an evaluation may come before the first step.
        optimizer.build(model.trainable_variables)
    step_sizes = StepSizes(model, optimizer) if experiment.norms else None
    return IterateTrainer(parameters, task, model, optimizer, directory, log, experiment.seed, interruption, step_sizes)


def _patterns(experiment: Experiment) -> list[str]:
    return [getattr(experiment.config.task, f"{split}_data").input_path for split in SPLITS]


def _require_data(experiment: Experiment) -> str:
    """The input files' fingerprint; raises InputError for a split without files, before anything is written."""
    mend = data_folder.how_to_get_it(experiment)
    data_folder.require(experiment)
    input_files.require_manifest(experiment.task, mend)
    for pattern in _patterns(experiment):
        if not gfiles.files_in(*os.path.split(pattern)):
            raise InputError(f"{pattern}: no such files; {mend}")
    return input_files.fingerprint(_patterns(experiment))


def _start(checkpoint: str) -> dict[str, str]:
    """What run.json says of the weights that the run starts from; nothing if they are random."""
    return {"init_checkpoint": initial_weights.digest(checkpoint)} if checkpoint else {}


class _Run:
    """The parts of a run that share the strategy, the trainer and the directory."""

    def __init__(
        self,
        experiment: Experiment,
        directory: RunDirectory | strategies.WorkerDirectory,
        chief: str,
        task: base_task.Task,
        interruption: Interruption,
    ) -> None:
        self._experiment, self._parameters = experiment, experiment.config
        self._directory = directory
        # TensorFlow's names of the run's own directory and of the chief's.
        self._path, self._chief = checkpoints.plain(directory.path), checkpoints.plain(pathlib.Path(chief))
        self._task, self._interruption = task, interruption
        prepare(experiment)
        self._strategy = strategies.build(
            experiment.config.runtime.distribution_strategy, experiment.config.runtime.tpu
        )
        data = task.task_config
        sizes = {"batch_size": data.train_data, "evaluation_batch_size": data.validation_data}
        strategies.require_even_shares(self._strategy, {name: one.global_batch_size for name, one in sizes.items()})

    def execute(self, mode: str) -> ExitStatus:
        directory = self._directory
        start_step = self._find_start()
        trains = "train" in mode
        if not trains and not start_step:
            raise InputError(f"{directory.path}: no checkpoint to evaluate; train first, with --mode=train_and_eval")
        # An evaluation reads no training record: it need not find the place of one.
        self._task.start_step = start_step if trains else 0
        batch_size = self._parameters.task.train_data.global_batch_size
        log = MetricsLog(directory.path / "metrics.csv", start_step, batch_size)
        self._checkpointed, status, trainer = start_step, "failed", None
        if trains:
            directory.begin(start_step)
            hparams.write(self._path, self._experiment, self._task.metric)
            if start_step:
                logging.info("resuming from step %d", start_step)
            self._interruption.guard(self._last_words)
        try:
            with self._strategy.scope():
                trainer = build_trainer(self._experiment, self._task, self._path, log, self._interruption)
            runner, watch = self._build_runner(trainer, log, mode)
            try:
                self._train_or_evaluate(runner.controller, mode)
            finally:
                watch.close()
            if trains:
                with self._strategy.scope():
                    trainer.export_best(self._path / "export")
            status = "ok"
        except Diverged as error:
            status = "diverged"
            logging.error("diverged: %s; the last checkpoint is of step %d", error, self._checkpointed)
        except Interrupted as error:
            status = "interrupted"
            logging.warning("%s at step %d; the same command goes on from there", error, self._checkpointed)
        except (OSError, tf.errors.OpError) as error:
            patterns, step = _patterns(self._experiment), self._checkpointed
            raise failures.explained(error, directory.path, step, patterns, self._task.check_record) from error
        finally:
            if trains:  # an evaluation says nothing about how the training ended
                directory.update(status, int(trainer.global_step.numpy()) if trainer else start_step)
        return {"ok": ExitStatus.DONE, "diverged": ExitStatus.DIVERGED, "interrupted": ExitStatus.INTERRUPTED}[status]

    def _find_start(self) -> int:
        """The step of the last whole checkpoint, which the chief finds; the other workers then copy what it has."""
        follower = self._directory if isinstance(self._directory, strategies.WorkerDirectory) else None
        found = 0 if follower else checkpoints.recover(self._path, "ckpt") or 0
        start_step = strategies.agree(self._strategy, found)
        if follower:
            follower.follow()
        strategies.agree(self._strategy, 0)
        return start_step

    def _train_or_evaluate(self, controller: Controller, mode: str) -> None:
        """As the runner's own `run`, which counts the model's FLOPs at the end, with chatter on the terminal."""
        try:
            with self._strategy.scope():
                if mode == "train":
                    controller.train(steps=self._parameters.trainer.train_steps)
                elif mode == "eval":
                    controller.evaluate()
                else:
                    controller.train_and_evaluate(self._parameters.trainer.train_steps)
        except Interrupted:
            if mode != "eval":
                controller.save_checkpoint()
            raise

    def _saved(self, step: int) -> None:
        self._checkpointed = step
        self._directory.update("running", step)

    def _last_words(self, signal_name: str) -> None:
        """The run has not come to a safe point in time: it goes on from its last checkpoint."""
        self._directory.update("interrupted", self._checkpointed)
        print(
            f"trainers.train: {signal_name}; the last checkpoint is of step {self._checkpointed}, the same command "
            "goes on from there",
            file=sys.stderr,
            flush=True,
        )

    def _build_runner(
        self, trainer: IterateTrainer, log: MetricsLog, mode: str
    ) -> tuple[train_lib.OrbitExperimentRunner, Watch]:
        settings = self._parameters.trainer
        watch = Watch(trainer.global_step, self._checkpointed, settings.train_steps, self._task.metric, log)
        runner = train_lib.OrbitExperimentRunner(
            self._strategy,
            self._task,
            mode=mode,
            params=self._parameters,
            model_dir=str(self._path),
            trainer=trainer,
            train_actions=[watch],
            eval_actions=[watch.evaluated],
            controller_cls=functools.partial(
                Controller,
                log=log,
                validation_interval=settings.validation_interval,
                saved=self._saved,
                start=str(self._chief / f"ckpt-{self._checkpointed}") if self._checkpointed else None,
            ),
        )
        return runner, watch
