"""NIGT in plain NumPy, as the paper prints it, with w and the w before it both kept: what nigt.NIGT is tested on.

Nothing here is fast, and nothing is shared with the TensorFlow code but the paper.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

Arrays = list[np.ndarray]
Scalar = float | np.ndarray  # an array: one a replicate, of size 1 along the last axis
Each = Scalar | list[Scalar]


def whole_norm(values: np.ndarray) -> np.ndarray:
    """‖values‖ over all elements."""
    return np.asarray(np.linalg.norm(values))


def last_axis_norm(values: np.ndarray) -> np.ndarray:
    """‖values‖ over the last axis, which is kept with size 1: one norm a replicate."""
    return np.sqrt(np.einsum("...d,...d->...", values, values))[..., np.newaxis]


@dataclasses.dataclass
class Settings:
    """What a method is made of; the defaults are section 5.1's, see nigt.NIGT for each.

    Attributes:
      normalization: "layer", "global" or "none".
      scale_by_weight_norm, transport, weight_decay, weight_norm_floor: As there.
      multiplier: Of the learning rate of excluded variables.
      norm: Of one variable; for replicates in the leading axes, one over the last axis that keeps it (last_axis_norm).
    """

    normalization: str = "layer"
    scale_by_weight_norm: bool = True
    transport: bool = True
    multiplier: float = 1000.0
    weight_decay: float = 0.0
    weight_norm_floor: float = 0.0
    norm: Callable[[np.ndarray], np.ndarray] = whole_norm


class TwoSlot:
    """Algorithm 1 over several variables, each an array of any shape.

    Attributes:
      w, x: The iterate and the gradient point of each variable.
      m: The momentum.
      settings: What it is made of.
    """

    def __init__(
        self,
        starts: Sequence[np.ndarray],
        excluded: Sequence[bool],
        settings: Settings,
        undecayed: Sequence[bool] | None = None,
    ):
        """
        Args:
          starts: w_1 of each variable.
          excluded: Whether it is left out of normalization (section 5.1: biases, batch norm, layer norm).
          undecayed: Whether it is left out of weight decay; None: none is.
        """
        self.w: Arrays = [np.array(start, np.float64) for start in starts]
        self.x: Arrays = [w.copy() for w in self.w]
        self.m: Arrays = [np.zeros_like(w) for w in self.w]
        self._excluded, self.settings = list(excluded), settings
        self._decays = [0.0 if out else settings.weight_decay for out in undecayed or [False] * len(self.w)]

    def decayed(self, gradients: Sequence[np.ndarray]) -> Arrays:
        """g + λ·x of each variable."""
        triples = zip(gradients, self._decays, self.x, strict=True)
        return [np.asarray(g, np.float64) + decay * x for g, decay, x in triples]

    def step(
        self,
        gradients: Sequence[np.ndarray],
        rates: Each,
        betas: Each,
        next_betas: Each,
    ) -> None:
        """m ← β·m + (1−β)·g;  w_{t+1} = w_t − s·m;  x_{t+1} = w_{t+1} + β'/(1−β')·(w_{t+1} − w_t).

        Args:
          gradients: Taken at x.
          rates, betas: η and β of this step, one, or a list with one a variable; an array is one, for replicates, and
            broadcasts with the variables.
          next_betas: β', of the step to come.
        """
        settings, count = self.settings, len(self.w)
        gradients = self.decayed(gradients)
        per_variable = [value if isinstance(value, list) else [value] * count for value in (rates, betas, next_betas)]
        for i, beta in enumerate(per_variable[1]):
            self.m[i] = beta * self.m[i] + (1 - beta) * gradients[i]
        ratios = self._ratios()
        for i, (rate, _, beta) in enumerate(zip(*per_variable, strict=True)):
            scale = rate * (settings.multiplier if self._excluded[i] else ratios[i])
            previous, self.w[i] = self.w[i], self.w[i] - scale * self.m[i]
            self.x[i] = self.w[i] + (beta / (1 - beta) if settings.transport else 0) * (self.w[i] - previous)

    def _ratios(self) -> list[np.ndarray]:
        """‖x‖/‖m‖ or 1/‖m‖ of each variable, 1 where a norm is 0 or nothing is normalized."""
        settings, one = self.settings, np.ones(())
        if settings.normalization == "none":
            return [one] * len(self.w)
        weights = [settings.norm(x) if settings.scale_by_weight_norm else one for x in self.x]
        momentums = [settings.norm(m) for m in self.m]
        if settings.normalization == "global":
            included = [i for i, excluded in enumerate(self._excluded) if not excluded]
            weights, momentums = (
                [np.sqrt(sum((norms[i] ** 2 for i in included), start=np.zeros(())))] * len(self.w)
                for norms in (weights, momentums)
            )
        ratios = []
        for weight, momentum in zip(weights, momentums, strict=True):
            weight = np.maximum(weight, settings.weight_norm_floor) if settings.scale_by_weight_norm else one
            usable = (weight > 0) & (momentum > 0)
            ratios.append(np.where(usable, weight / np.where(usable, momentum, 1), 1))
        return ratios


class Algorithm2:
    """Algorithm 2 of the paper: TwoSlot with η_t and β_t from two gradients a step."""

    def __init__(self, method: TwoSlot, gradient_bound: float, constant: float = 26):
        """
        Args:
          method: To be stepped; as printed, with one global norm and no scaling by ‖x‖.
          gradient_bound: The paper's g.
          constant: 26 as printed, 52 as the proof needs.
        """
        self.method, self._bound = method, gradient_bound
        self._c = float(np.sqrt(7 / (constant * gradient_bound ** (6 / 7))))
        d = self._c ** (-14 / 3)
        self.t = 1
        self.sums: list[Scalar] = [d, 3 * gradient_bound**2 + d]  # G_{t−1} and G_t; G_0 = D (the proof)

    def rate(self, t: int) -> Scalar:
        """η_t, of the step to come (t = self.t) and the one before it."""
        return self._c / (self._sum(t) ** 2 * (t + 1) ** 3) ** (1 / 7)

    def alpha(self, t: int) -> Scalar:
        """α_t, of the step to come and the one after."""
        return 1 / (t * self.rate(t - 1) ** 2 * self._sum(t - 1))

    def beta(self, t: int) -> Scalar:
        """β_t = 1 − α_t; α_1 = 1 up to rounding."""
        return 1 - np.minimum(1.0, self.alpha(t))

    def _sum(self, t: int) -> Scalar:
        return self.sums[t - self.t + 1]

    def step(self, gradients: Sequence[np.ndarray], second: Sequence[np.ndarray], factor: float = 1.0) -> None:
        """One step; gradients and second are independent samples at x. factor: On η_t; 1 as printed."""
        t = self.t
        self.method.step(gradients, factor * self.rate(t), self.beta(t), self.beta(t + 1))
        pairs, norm = zip(gradients, second, strict=True), self.method.settings.norm
        distance = sum((norm(np.asarray(a, np.float64) - np.asarray(b)) ** 2 for a, b in pairs), start=np.zeros(()))
        self.sums = [self.sums[1], self.sums[1] + distance + self._bound**2 * ((t + 1) ** 0.25 - t**0.25)]
        self.t += 1


class Released:
    """The released `use_adaptive`: TwoSlot with η_t and β_t of each variable from the norms of its gradients."""

    def __init__(self, method: TwoSlot, excluded: Sequence[bool], multiplier: float = 1000.0):
        """
        Args:
          method: To be stepped, built with multiplier 1 (this class scales the rates itself).
          excluded: As in TwoSlot.
          multiplier: Of excluded variables; times the paper's η0 it is the released learning rate.
        """
        self.method, self._excluded, self._multiplier = method, list(excluded), multiplier
        self.t, self._sums, self._largest = 0, [0.0] * len(excluded), [0.0] * len(excluded)

    def step(self, gradients: Sequence[np.ndarray], learning_rate: float) -> None:
        """One step with the paper's η0 as learning_rate."""
        self.t += 1
        rates: list[Scalar] = []
        betas: list[Scalar] = []
        for i, gradient in enumerate(self.method.decayed(gradients)):
            size = float(np.linalg.norm(gradient))
            self._sums[i] += size
            self._largest[i] = max(self._largest[i], size)
            total = self._sums[i] + self.t**0.25 * self._largest[i]
            if total == 0:
                rates.append(0.0)
                betas.append(0.0)
                continue
            rate = learning_rate * self._multiplier / (self.t**3 * total**2) ** (1 / 7)
            betas.append(1 - min(1.0, 1 / (self.t * rate**2 * total) if rate > 0 else 1.0))
            rates.append(rate if self._excluded[i] else rate / self._multiplier)
        self.method.step(gradients, rates, betas, betas)
