"""One measurement, and the records that it yields."""

import dataclasses
import zlib
from collections.abc import Callable

import numpy as np

from nigt.theory import drift, methods, problems, runs, transport, tuning
from nigt.theory.oracles import Oracle

SEED = 2020  # with a checksum of the task, of everything random in it
FIXED_SIGMA = 4.0  # that a "fixed" method's settings are for, whatever the noise


@dataclasses.dataclass(frozen=True)
class Record:
    """One measured number; a line of measurements.csv.

    Attributes:
      experiment: What it was measured for.
      objective, noise, sigma, dim, batch: The problem; σ is of one sample.
      method: nsgd, nsgdm, nigt, sgd, adaptive, adaptive_corrected, igt or storm.
      T: The step it is of.
      setting: What else was chosen.
      quantity: What was measured.
      value, stderr: Its mean over replicates, and the mean's standard error.
      replicates: n.
    """

    experiment: str
    objective: str
    noise: str
    sigma: float
    dim: int
    batch: int
    method: str
    T: int
    setting: str
    quantity: str
    value: float
    stderr: float
    replicates: int


@dataclasses.dataclass(frozen=True)
class Task:
    """What to measure; also the key under which it is kept.

    Attributes:
      kind: run, fixed (run, with the settings of σ = FIXED_SIGMA), tuned, drift or transport.
      experiment, objective, noise, sigma, dim, batch, method, replicates: As in Record.
      steps: T.
      marks: Further steps of the same run to report.
      start_scale: On w_1.
      setting: drift: p and β, "p=0.25 beta=0.9"; transport: "as printed" or "no transport", or nothing.
      rare, beta: Of drift.
    """

    kind: str
    experiment: str
    method: str
    steps: int
    replicates: int
    objective: str = "cos"
    noise: str = "gaussian"
    sigma: float = 0.0
    dim: int = problems.DIM
    batch: int = 1
    marks: tuple[int, ...] = ()
    start_scale: float = 1.0
    setting: str = ""
    rare: float = 0.25
    beta: float = 0.0

    @property
    def seed(self) -> list[int]:
        """The seed sequence's entropy."""
        return [SEED, zlib.crc32(repr(self).encode())]

    @property
    def cost(self) -> float:
        """About how long it takes, to start the longest first."""
        slower = {"adaptive": 2.5, "adaptive_corrected": 2.5, "storm": 1.5}.get(self.method, 1.0)
        return self.steps * (slower + self.dim * self.replicates / 500) * (2 if self.kind == "tuned" else 1)

    def record(self, quantity: str, value: float, stderr: float, step: int | None = None, setting: str = "") -> Record:
        """A record of this task."""
        return Record(
            self.experiment,
            self.objective,
            self.noise,
            self.sigma,
            self.dim,
            self.batch,
            self.method,
            self.steps if step is None else step,
            setting or self.setting,
            quantity,
            value,
            stderr,
            self.replicates,
        )


def gradient_bound(oracle: Oracle, method: str) -> float:
    """The paper's g, or STORM's G.

    Gaussian noise has no bound on ‖∇f‖. Algorithm 2 is then given sup‖∇F‖, which does not depend on σ, as an adaptive
    method must not be told σ; STORM is given 2σ more. With bounded noise both get the bound itself.
    """
    function = oracle.objective
    one_sample = oracle.sigma * np.sqrt(oracle.batch)
    if oracle.noise == "skewed":
        return float(function.gradient_bound + one_sample * np.sqrt(0.9 / 0.1))
    if oracle.noise == "finite_sum" or method != "storm":
        return function.gradient_bound
    return float(function.gradient_bound + 2 * one_sample)


def execute(task: Task) -> list[Record]:
    """Measures a task."""
    kinds: dict[str, Callable[[Task], list[Record]]]
    kinds = {"run": _run, "fixed": _run, "tuned": _tuned, "drift": _drift, "transport": _transport}
    return kinds[task.kind](task)


def _oracle(task: Task) -> Oracle:
    return problems.oracle(task.objective, task.noise, task.sigma, task.dim, task.batch, task.start_scale)


def _run(task: Task) -> list[Record]:
    oracle = _oracle(task)
    bounded = task.method in ("adaptive", "adaptive_corrected", "storm")
    method = methods.make(
        task.method,
        oracle,
        task.steps,
        np.tile(oracle.objective.start, (task.replicates, 1)),
        gradient_bound=gradient_bound(oracle, task.method) if bounded else None,
        told=_oracle(dataclasses.replace(task, sigma=FIXED_SIGMA)) if task.kind == "fixed" else None,
    )
    marks = {*task.marks, *([1] if bounded else [])}
    trace = runs.run(method, oracle, np.random.default_rng(task.seed), task.steps, sorted(marks))
    records = []
    for row, step in enumerate(trace.marks):
        if step > 1:
            records.append(task.record("mean_grad_norm", *runs.mean_and_error(trace.mean_norm[row]), step))
            records.append(task.record("last_grad_norm", *runs.mean_and_error(trace.norm[row]), step))
        if bounded:
            records.append(task.record("eta", *runs.mean_and_error(trace.rate[row]), step))
            records.append(task.record("alpha", *runs.mean_and_error(trace.alpha[row]), step))
    if bounded:
        records.append(task.record("largest_alpha", trace.largest_alpha, 0.0))
    return records


def _tuned(task: Task) -> list[Record]:
    trials = 4 if task.steps > 10_000 else 8
    point, trace = tuning.tuned(task.method, _oracle(task), task.seed, task.steps, task.replicates, trials)
    setting = "tuned, at the grid's edge" if point.at_edge else "tuned"
    records = [
        task.record("mean_grad_norm", *runs.mean_and_error(trace.mean_norm[-1]), setting=setting),
        task.record("last_grad_norm", *runs.mean_and_error(trace.norm[-1]), setting=setting),
        task.record("factor", point.factor, 0.0, setting=setting),
    ]
    if point.alpha is not None:
        records.append(task.record("alpha", point.alpha, 0.0, setting=setting))
    return records


def _drift(task: Task) -> list[Record]:
    value, error = drift.measured(task.rare, task.beta, np.random.default_rng(task.seed), task.steps, task.replicates)
    return [
        task.record("drift", value, error),
        task.record("predicted_drift", drift.predicted(task.rare, task.beta), 0.0),
    ]


def _transport(task: Task) -> list[Record]:
    on_quadratic = task.objective == "quadratic"
    function = transport.quadratic() if on_quadratic else transport.cosines()
    printed, moved = task.setting == "as printed", task.setting != "no transport"
    random = np.random.default_rng(task.seed)
    errors = transport.errors(function, task.sigma, random, task.steps, task.replicates, moved, printed)
    records = [task.record("pathwise_error", errors.pathwise, 0.0)] if on_quadratic and not printed else []
    for t in (t for t in (0, 1, 3, 10, 30, 99) if t < task.steps):
        scale = (t + 1) / task.sigma**2
        records.append(
            task.record("variance_times_t_plus_1", scale * errors.square[t], scale * errors.square_error[t], t)
        )
        records.append(task.record("bias", errors.bias[t], errors.bias_error[t], t))
    return records
