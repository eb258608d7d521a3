"""trainers.train as forks of one process that has TensorFlow loaded, which saves each run the 10 s of importing it.

Apart from that they are what the command starts: a process of its own, with its arguments, signals and exit status.
"""

import multiprocessing
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from typing import Any

from trainers.checkout import ROOT
from trainers.schema.tasks import TASKS

_FOLDERS = {"bert": "manuals", "resnet": "images", "sentences": "services"}
# Small models: these runs are about what is kept, not about what is learnt.
_SMALL: dict[str, dict[str, Any]] = {
    "bert": {
        "batch_size": 4,
        "bert_pretraining.hidden_size": 32,
        "bert_pretraining.intermediate_size": 32,
        "bert_pretraining.layers": 1,
        "bert_pretraining.dropout": 0.1,
        "bert_pretraining.evaluation_limit": 64,
        "warmup_polynomial_decay.warmup_steps": 5,
    },
    "sentences": {
        "batch_size": 8,
        "sentence_prediction.hidden_size": 32,
        "sentence_prediction.intermediate_size": 32,
        "sentence_prediction.layers": 1,
        "sentence_prediction.evaluation_limit": 256,
        "warmup_polynomial_decay.warmup_steps": 2,
    },
    "resnet": {
        "batch_size": 32,
        "resnet_classification.depth": 10,
        "resnet_classification.width": 0.125,
        "resnet_classification.crop": "'shift'",
    },
}


def arguments(
    name: str, directory: pathlib.Path, data: pathlib.Path, mode: str = "train_and_eval", **bindings: Any
) -> list[str]:
    """The command line of a small run.

    Args:
      name: Of a laptop gin file, "bert_nigt".
      directory: The run's.
      data: Of the built laptop data, manuals/, images/ and services/.
      mode: As --mode.
      **bindings: Further gin bindings; a dot in a name is written as two underscores.
    """
    task, optimizer = name.split("_")
    settings = {f"{TASKS[task].gin_name}.data_dir": repr(str(data / _FOLDERS[task]))} | _SMALL[task]
    if name == "resnet_nigt":
        settings["warmup_polynomial_decay.warmup_steps"] = 5
    settings |= {key.replace("__", "."): value for key, value in bindings.items()}
    return [
        *(
            "train",
            f"--gin_file=configs/laptop/{name}.gin",
            f"--model_dir={directory}",
            f"--mode={mode}",
            "--threads=1",
        ),
        *(f"--gin_param={key}={value}" for key, value in settings.items()),
    ]


class Run:
    """A run in a process of its own.

    Attributes:
      directory: The run's.
      output: The file with what it prints.
    """

    def __init__(self, argv: list[str], output: pathlib.Path, user: tuple[int, int] | None = None):
        """Starts it.

        Args:
          argv: From `arguments`.
          output: Of standard output and error.
          user: (uid, gid) to run as.
        """
        self.directory = next(pathlib.Path(a.split("=", 1)[1]) for a in argv if a.startswith("--model_dir="))
        self.output = output
        self._process = _context().Process(target=_train, args=(argv, str(output), user))
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def send(self, number: int) -> None:
        """Sends a signal."""
        assert self._process.pid is not None  # it has been started
        os.kill(self._process.pid, number)

    def wait(self, seconds: float = 300) -> int:
        """Its exit status, negative for a signal. Kills it and raises TimeoutError when the time is over."""
        self._process.join(seconds)
        if self.alive:
            self.send(signal.SIGKILL)
            self._process.join()
            raise TimeoutError(f"{self.output}: no end within {seconds} s")
        assert self._process.exitcode is not None  # it has ended
        return self._process.exitcode

    def wait_for(self, condition: Callable[[], bool], seconds: float = 300, every: float = 0.02) -> bool:
        """Waits until condition() holds; False if the run ends before."""
        end = time.monotonic() + seconds
        while self.alive:
            if condition():
                return True
            if time.monotonic() > end:
                raise TimeoutError(f"{self.output}: not reached within {seconds} s")
            time.sleep(every)
        return False

    def step(self) -> int:
        """The last step that its log tells of in this or an earlier process; 0 before."""
        return last_step(self.directory)

    def message(self) -> list[str]:
        """The lines that the command printed as its own, without what libraries say."""
        return [line for line in _text(self.output).splitlines() if line.startswith("trainers.train: ")]

    def text(self) -> str:
        """All that was printed."""
        return _text(self.output)


def last_step(directory: pathlib.Path) -> int:
    """Of a run's directory: the last step that its log tells of; 0 before."""
    log = directory / "train.log"
    lines = [line.split(" step ")[1] for line in _text(log).splitlines() if " step " in line and "loss" in line]
    return int(lines[-1].split("/")[0]) if lines else 0


def _text(path: pathlib.Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    # The server does not get this process's sys.path, and passes over a module that it does not find.
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    context.set_forkserver_preload(
        ["absl.app", "trainers.train", "trainers.running.run", "trainers.model_garden.experiment"]
    )
    return context


def _train(argv: list[str], output: str, user: tuple[int, int] | None) -> None:
    """In the child."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = open(1, "w", buffering=1, closefd=False), open(2, "w", buffering=1, closefd=False)
    os.chdir(ROOT)
    if user:
        os.setgroups([])
        os.setgid(user[1])
        os.setuid(user[0])
    from absl import app

    from trainers import train

    sys.argv = argv
    app.run(train.main, argv=argv)
