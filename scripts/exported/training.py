"""One exported run: steps, evaluations and checkpoints, on the steps on which trainers.running has them."""

import math
import time
from collections.abc import Callable

import jax
import numpy as np

from scripts.exported import checkpoints
from scripts.exported.bundle import Bundle
from trainers.running.held import HeldDirectory
from trainers.running.interruption import Interruption
from trainers.running.metrics_log import MetricsLog

_SECONDS_OF_STEPS = 3.0  # between two looks at whether a signal has come
_GIVEN = ("step", "steps", "trained")  # their state is updated in place
State = dict[str, jax.Array]


class Diverged(Exception):
    """The loss or a variable is NaN or infinite."""


def load(bundle: Bundle) -> dict[str, Callable]:
    """The programs of a bundle, by name; see scripts/exported/programs.py."""
    jax.config.update("jax_enable_x64", True)  # the counters are int64
    return {
        name: jax.jit(jax.export.deserialize(bundle.program(name)).call, donate_argnums=(0,) if name in _GIVEN else ())
        for name in bundle.manifest["signature"]["programs"]
    }


class Training:
    """Trains from a bundle, or goes on where the directory's last checkpoint is.

    Attributes:
      step: Steps done.
      saved: The step of the last checkpoint; 0 without one.
    """

    def __init__(
        self, bundle: Bundle, directory: HeldDirectory, interruption: Interruption, say: Callable[[str], None]
    ):
        """
        Args:
          bundle: What is run.
          directory: Where its files go.
          interruption: Asked between steps.
          say: Told how the run goes, a line at a time.
        """
        self._manifest, self._settings = bundle.manifest, bundle.manifest["settings"]
        self._directory, self._interruption, self._say = directory, interruption, say
        self._programs = load(bundle)
        found = checkpoints.newest(directory.path, say)
        self._state: State = jax.device_put(bundle.arrays("state") if found is None else found)
        self._data = jax.device_put(bundle.arrays("train"))
        inputs = self._manifest["signature"]["signatures"]["evaluate"]["inputs"]
        self._batches = {}
        for split in ("selection", "validation"):
            arrays = bundle.arrays(split)
            columns = [arrays[name].astype(dtype) for name, dtype, _ in inputs]
            names = [name for name, *_ in inputs]
            batches = [dict(zip(names, batch, strict=True)) for batch in zip(*columns, strict=True)]
            self._batches[split] = jax.device_put(batches)
        self.step = self.saved = self._count()
        self._log = MetricsLog(directory.path / "metrics.csv", self.step, self._settings["batch_size"])
        self._first, self._started, self._piece = self.step, time.monotonic(), 1

    def run(self, seconds: float | None = None) -> None:
        """Trains and evaluates to the last step.

        Args:
          seconds: The run ends after so many of training, compilation not counted, at the end of a loop, with an
            evaluation.

        Raises:
          Interrupted: Between two steps or batches; there is a checkpoint of where it was.
          Diverged.
        """
        last, interval = self._settings["train_steps"], self._settings["validation_interval"]
        over, spent = False, 0.0
        if self.step and (self.step % interval == 0 or self.step == last) and not self._log.has_evaluation(self.step):
            self.evaluate()  # the run was stopped between its checkpoint and its evaluation
        while self.step < last and not over:
            spent += self._loop(self._end_of_loop())
            over = seconds is not None and spent >= seconds
            ends, between = over or self.step == last, self._settings["checkpoint_interval"]
            if ends or self.step // between > self.saved // between:
                self.save()
            if ends or self.step % interval == 0:
                self.evaluate()

    def save(self) -> None:
        """Writes a checkpoint, if there is none of this step.

        Raises:
          Diverged: A variable is not finite: it would be of no use.
        """
        if self.step == self.saved:
            return
        state = jax.device_get(self._state)
        if not all(np.isfinite(array).all() for path, array in state.items() if path.startswith("model/")):
            raise Diverged(f"a variable is NaN or infinite at step {self.step}")
        checkpoints.save(self._directory.path, self.step, state, self._settings["keep_checkpoints"])
        self.saved = self.step
        self._directory.update("running", self.step)

    def evaluate(self) -> None:
        """Logs the metrics on selection and validation data at w and, of an optimizer that has both, at x."""
        weights = self._state
        if "at_w" in self._programs:
            weights = weights | self._programs["at_w"](self._of("at_w", weights))
        results = {split: self._evaluate_on(split, weights) for split in ("selection", "validation")}
        if "at_w" in self._programs:
            results["validation_x"] = self._evaluate_on("validation", self._state)
        self._log.write(self.step, results)
        metric = self._manifest["run"]["metric"]
        told = "  ".join(f"{split} {results[split][metric]:.4f}" for split in ("selection", "validation"))
        self._say(f"step {self.step}  {told}")

    def _loop(self, steps: int) -> float:
        """A loop of steps, in pieces of a few seconds, and its line of the log.

        Returns:
          Its seconds, without the first piece of a process, which includes the compilation.
        """
        left, seconds = steps, 0.0
        while left:
            self._interruption.check()
            count, start, first = min(self._piece, left), time.monotonic(), self.step == self._first
            self._take(count)
            taken = time.monotonic() - start
            if not first:
                seconds += taken
                self._piece = max(1, int(_SECONDS_OF_STEPS * count / max(taken, 1e-6)))
            left -= count
        returned, self._state = self._programs["trained"](self._state)
        values = {name: float(value) for name, value in returned.items()}
        values["loss"] = values.pop("training_loss")
        self._log.write(self.step, {"train": values})
        speed = (self.step - self._first) / max(time.monotonic() - self._started, 1e-9)
        self._say(f"step {self.step}/{self._settings['train_steps']}  loss {values['loss']:.4f}  {speed:.1f} steps/s")
        if not math.isfinite(values["loss"]):
            raise Diverged(f"the loss is {values['loss']} at step {self.step}")
        return seconds

    def _take(self, count: int) -> None:
        """So many steps, to their end."""
        if "steps" in self._programs:
            self._state = self._programs["steps"](self._state, self._data, np.int32(self.step), np.int32(count))
        else:
            for number in range(self.step, self.step + count):
                batch = self._programs["batch"](self._data, np.int32(number))
                self._state = self._programs["step"](self._state, batch)
        self.step += count
        if self._count() != self.step:  # also waits for the device
            raise AssertionError(f"the programs count {self._count()} steps, not {self.step}")

    def _evaluate_on(self, split: str, weights: State) -> dict[str, float]:
        signatures = self._manifest["signature"]
        sums = {
            path: np.zeros(shape, dtype)
            for path, (dtype, shape) in signatures["variables"].items()
            if path in signatures["signatures"]["evaluate"]["writes"]
        }
        for batch in self._batches[split]:
            self._interruption.check()
            sums = self._programs["evaluate"](self._of("evaluate", weights | sums), batch)
        values = {
            name: float(value) for name, value in self._programs["evaluated"](self._of("evaluated", sums)).items()
        }
        values["loss"] = values.pop("validation_loss")
        return values

    def _of(self, program: str, state: dict) -> dict:
        """What a program reads of a state."""
        return {path: state[path] for path in self._manifest["signature"]["signatures"][program]["variables"]}

    def _end_of_loop(self) -> int:
        """Steps to the next multiple of steps_per_loop, counted from the last multiple of the validation interval."""
        interval, per_loop = self._settings["validation_interval"], self._settings["steps_per_loop"]
        since = self.step % interval
        whole = min(per_loop - since % per_loop, interval - since)
        return min(whole, self._settings["train_steps"] - self.step)

    def _count(self) -> int:
        return int(self._state[self._settings["step"]])


def describe_device(of_processor: str) -> str:
    """What JAX runs on: the accelerator's own name, or the processor's."""
    device = jax.devices()[0]
    return of_processor if device.platform == "cpu" else f"{device.device_kind}, JAX {jax.__version__}"


def unsupported(bundle: Bundle) -> str | None:
    """Why the programs do not run on this machine's device; None if they do."""
    try:
        platform = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    except (RuntimeError, AssertionError) as error:  # the second where a plugin is not installed
        return f"JAX finds no device ({(str(error).splitlines() or ['no plugin for it'])[0][:200]})"
    exported = jax.export.deserialize(bundle.program("step")).platforms
    return None if platform in exported else f"exported for {', '.join(exported)}, and this is {platform}"
