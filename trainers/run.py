"""One run, from an experiment to its exit status."""

import functools
import pathlib
import shlex
import sys

import orbit
import tensorflow as tf
import tf_keras
from absl import logging
from official.common import distribute_utils
from official.core import task_factory, train_lib

from data.errors import InputError
from trainers import run_log
from trainers.actions import Diverged, Interrupted, Watch
from trainers.experiment import Experiment
from trainers.run_directory import MetricsLog, RunDirectory, describe_device
from trainers.trainer import IterateTrainer

DONE, FAILED, BAD_INPUT, DIVERGED, INTERRUPTED = 0, 1, 2, 3, 4


def run(experiment: Experiment, config: str, model_dir: str, mode: str, threads: int | None = None) -> int:
    """Trains and evaluates, or goes on where the directory's last checkpoint is.

    Args:
      experiment: From gin_files.load.
      config: Its operative gin configuration.
      model_dir: The run's directory.
      mode: "train_and_eval", "train" or "eval" (at the last checkpoint).
      threads: For TensorFlow; None: as many as there are cores.

    Returns:
      The exit status: 0 done, 3 diverged, 4 interrupted.

    Raises:
      InputError: Missing data, or a directory that holds another run.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    parameters = experiment.config
    _require_data(experiment)
    run_log.start(model_dir)
    task = task_factory.get_task(parameters.task, logging_dir=model_dir)
    directory = RunDirectory(
        model_dir,
        config,
        task=experiment.task,
        scale=experiment.scale,
        optimizer=experiment.optimizer,
        eta0=experiment.eta0,
        seed=experiment.seed,
        device=describe_device(threads),
        strategy=parameters.runtime.distribution_strategy,
        metric=task.metric,
        command=shlex.join(["python", "-m", "trainers.train", *sys.argv[1:]]),
    )
    if mode != "eval" and directory.is_finished(parameters.trainer.train_steps):
        logging.info("%s: done already (%d steps)", model_dir, directory.record["steps"])
        return DONE
    return _Run(experiment, directory, task).execute(mode)


def _require_data(experiment: Experiment) -> None:
    """Raises InputError for a split without files, before anything is written."""
    mend = {
        "laptop": "make them with `make laptop-data`, or correct data_dir in the gin file",
        "paper": "this repository does not build the paper's data yet: name a folder of such TFRecords as data_dir",
    }[experiment.scale]
    for split in ("train", "selection", "validation"):
        pattern = getattr(experiment.config.task, f"{split}_data").input_path
        if not tf.io.gfile.glob(pattern):
            raise InputError(f"{pattern}: no such files; {mend}")


class _Run:
    """The parts of a run that share the strategy, the trainer and the directory."""

    def __init__(self, experiment: Experiment, directory: RunDirectory, task):
        self._parameters, self._directory, self._task = experiment.config, directory, task
        self._seed = experiment.seed
        # Seeds Python, NumPy and TensorFlow, hence the initialization.
        tf_keras.utils.set_random_seed(experiment.seed)
        runtime = experiment.config.runtime
        if runtime.mixed_precision_dtype:
            tf_keras.mixed_precision.set_global_policy(f"mixed_{runtime.mixed_precision_dtype}")
        self._strategy = distribute_utils.get_distribution_strategy(
            distribution_strategy=runtime.distribution_strategy, num_gpus=runtime.num_gpus, tpu_address=runtime.tpu
        )

    def execute(self, mode: str) -> int:
        directory = self._directory
        start_step = _checkpointed_step(directory.path)
        trains = "train" in mode
        if not trains and not start_step:
            raise InputError(f"{directory.path}: no checkpoint to evaluate; train first, with --mode=train_and_eval")
        self._task.start_step = start_step
        batch_size = self._parameters.task.train_data.global_batch_size
        log = MetricsLog(directory.path / "metrics.csv", start_step, batch_size)
        watch = None
        status, trainer = "failed", None
        try:
            with self._strategy.scope():
                trainer = self._build_trainer(log)
            if trains:
                directory.update("running", start_step)
            runner, watch = self._build_runner(trainer, log, mode)
            runner.run()
            if trains:
                trainer.export_best(directory.path / "export")
            status = "ok"
        except Diverged as error:
            status = "diverged"
            logging.error("diverged: %s", error)
        except Interrupted as error:
            status = "interrupted"
            logging.warning("interrupted: %s", error)
        finally:
            if watch is not None:
                watch.close()
            log.close()
            if trains:  # an evaluation says nothing about how the training ended
                directory.update(status, int(trainer.global_step.numpy()) if trainer else start_step)
        return {"ok": DONE, "diverged": DIVERGED, "interrupted": INTERRUPTED}[status]

    def _build_trainer(self, log: MetricsLog) -> IterateTrainer:
        parameters = self._parameters
        model = self._task.build_model()
        optimizer = self._task.create_optimizer(parameters.trainer.optimizer_config, parameters.runtime)
        if hasattr(optimizer, "iterates"):
            # Its state must be there when a checkpoint is restored: an evaluation may come before the first step.
            optimizer.build(model.trainable_variables)
        return IterateTrainer(parameters, self._task, model, optimizer, self._directory.path, log, self._seed)

    def _build_runner(self, trainer: IterateTrainer, log: MetricsLog, mode: str):
        watch = Watch(
            trainer.global_step,
            start_step=self._task.start_step,
            train_steps=self._parameters.trainer.train_steps,
            metric=self._task.metric,
            log=log,
        )
        runner = train_lib.OrbitExperimentRunner(
            self._strategy,
            self._task,
            mode=mode,
            params=self._parameters,
            model_dir=str(self._directory.path),
            trainer=trainer,
            train_actions=[watch],
            controller_cls=functools.partial(_Controller, log=log),
        )
        watch.save_checkpoint = runner.controller.save_checkpoint
        return runner, watch


class _Controller(orbit.Controller):
    """orbit's Controller, evaluating at the multiples of the interval wherever a run starts, and never skipping one."""

    def __init__(self, *args, log: MetricsLog, **kwargs):
        self._log_of_metrics = log
        super().__init__(*args, **kwargs)

    def train_and_evaluate(self, train_steps: int, eval_steps: int = -1, eval_interval: int | None = None):
        interval = eval_interval or train_steps
        step = int(self.global_step.numpy())
        due = step > 0 and (step % interval == 0 or step == train_steps)
        if due and not self._log_of_metrics.has_evaluation(step):
            self.evaluate(steps=eval_steps)  # the run was stopped between its checkpoint and its evaluation
        while step < train_steps:
            self.train(steps=min(train_steps, (step // interval + 1) * interval), checkpoint_at_completion=False)
            self.evaluate(steps=eval_steps)
            step = int(self.global_step.numpy())
        self.save_checkpoint()


def _checkpointed_step(directory: pathlib.Path) -> int:
    """The step of the directory's last checkpoint, 0 without one."""
    latest = tf.train.latest_checkpoint(str(directory))
    if latest is None:
        return 0
    return int(tf.train.load_checkpoint(latest).get_tensor("global_step/.ATTRIBUTES/VARIABLE_VALUE"))
