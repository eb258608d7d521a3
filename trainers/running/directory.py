"""The directory of a run of trainers.train: it goes on only with the configuration, data and weights it began with."""

import importlib.metadata

from data.errors import InputError
from trainers import gin_files
from trainers.experiment import Experiment
from trainers.running.held import HeldDirectory


class RunDirectory(HeldDirectory):
    """A HeldDirectory that knows the run's experiment."""

    packages = ("tensorflow", "tf-keras", "tf-models-official", "gin-config", "numpy")

    def __init__(self, path: str, experiment: Experiment, config: str, data: str, **fields: object) -> None:
        """As the base class.

        Args:
          path: The directory.
          experiment: The run's.
          config: It as text, from gin_files.operative_config.
          data: The fingerprint of the run's input files.
          **fields: Further ones of run.json: device, metric, command; init_checkpoint, the hash of the weights that
            the run starts from, if they are not random.

        Raises:
          InputError: Also where the directory holds a run of another configuration or on other data or weights.
        """
        self._experiment = experiment
        super().__init__(path, config, described(experiment) | fields | {"data": data})

    def _refuse_another_run(self, record: dict, fields: dict) -> None:
        file = self.path / "config.gin"
        if not file.exists():
            if record or any(self.path.glob("ckpt-*")):
                raise InputError(f"{self.path} holds a run without its config.gin; choose another MODEL_DIR")
            return
        try:
            there = gin_files.load(str(file), [])
        except InputError as error:
            raise InputError(f"{error}; choose another MODEL_DIR") from error
        different = gin_files.differences(there, self._experiment)
        if different:
            others = f" (and {len(different) - 1} more)" if different[1:] else ""
            raise InputError(
                f"{self.path} holds a run of another configuration: {different[0]}{others}; choose another MODEL_DIR"
            )
        if not any(self.path.glob("ckpt-*.index")):
            return
        if record.get("data", fields["data"]) != fields["data"]:
            raise InputError(
                f"{self.path} holds a run on other data: the input files' names or sizes have changed; build the same "
                "data again or choose another MODEL_DIR"
            )
        if record.get("init_checkpoint") != fields.get("init_checkpoint"):
            raise InputError(
                f"{self.path} holds a run from other weights: init_checkpoint's file has changed; restore it or choose "
                "another MODEL_DIR"
            )

    def _version(self, package: str) -> str:
        try:
            return super()._version(package)
        except importlib.metadata.PackageNotFoundError:
            if package != "tensorflow":
                raise
            return f"{importlib.metadata.version('tensorflow-tpu')} (tensorflow-tpu)"  # the TPU VM's build


def described(experiment: Experiment) -> dict:
    """What run.json says of an experiment."""
    return {
        "task": experiment.task.name,
        "scale": experiment.scale,
        "optimizer": experiment.optimizer.name,
        "eta0": experiment.eta0,
        "seed": experiment.seed,
        "strategy": experiment.strategy,
    }
