"""NIGT in plain NumPy, as the paper prints it, with w and the w before it both kept: what nigt.NIGT is tested on.

Nothing here is fast, and nothing is shared with the TensorFlow code but the paper.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

Arrays = list[np.ndarray]


def whole_norm(values: np.ndarray) -> np.ndarray:
    """‖values‖ over all elements."""
    return np.asarray(np.linalg.norm(values))


@dataclasses.dataclass
class Settings:
    """What a method is made of; the defaults are section 5.1's, see nigt.NIGT for each.

    Attributes:
      normalization: "layer", "global" or "none".
      scale_by_weight_norm, transport, weight_decay, weight_norm_floor: As there.
      multiplier: Of the learning rate of excluded variables.
      norm: Of one variable; for replicates in the leading axes, one over the last axis that keeps it.
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
        self._excluded, self._settings = list(excluded), settings
        self._decays = [0.0 if out else settings.weight_decay for out in undecayed or [False] * len(self.w)]

    def decayed(self, gradients: Sequence[np.ndarray]) -> Arrays:
        """g + λ·x of each variable."""
        triples = zip(gradients, self._decays, self.x, strict=True)
        return [np.asarray(g, np.float64) + decay * x for g, decay, x in triples]

    def step(
        self,
        gradients: Sequence[np.ndarray],
        rates: Sequence[float] | float,
        betas: Sequence[float] | float,
        next_betas: Sequence[float] | float,
    ) -> None:
        """m ← β·m + (1−β)·g;  w_{t+1} = w_t − s·m;  x_{t+1} = w_{t+1} + β'/(1−β')·(w_{t+1} − w_t).

        Args:
          gradients: Taken at x.
          rates, betas: η and β of this step, one or one a variable.
          next_betas: β', of the step to come.
        """
        settings, count = self._settings, len(self.w)
        gradients = self.decayed(gradients)
        per_variable = [np.broadcast_to(value, count) for value in (rates, betas, next_betas)]
        for i, beta in enumerate(per_variable[1]):
            self.m[i] = beta * self.m[i] + (1 - beta) * gradients[i]
        ratios = self._ratios()
        for i, (rate, _, beta) in enumerate(zip(*per_variable, strict=True)):
            scale = rate * (settings.multiplier if self._excluded[i] else ratios[i])
            previous, self.w[i] = self.w[i], self.w[i] - scale * self.m[i]
            self.x[i] = self.w[i] + (beta / (1 - beta) if settings.transport else 0) * (self.w[i] - previous)

    def _ratios(self) -> list[np.ndarray]:
        """‖x‖/‖m‖ or 1/‖m‖ of each variable, 1 where a norm is 0 or nothing is normalized."""
        settings, one = self._settings, np.ones(())
        if settings.normalization == "none":
            return [one] * len(self.w)
        weights, momentums = ([settings.norm(a) for a in arrays] for arrays in (self.x, self.m))
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
        self._c = np.sqrt(7 / (constant * gradient_bound ** (6 / 7)))
        d = self._c ** (-14 / 3)
        self.t, self.sums = 1, [d, 3 * gradient_bound**2 + d]  # G_0 = D (the proof) and G_1

    def rate(self, t: int) -> float:
        """η_t, for t up to the step to come."""
        return self._c / (self.sums[t] ** 2 * (t + 1) ** 3) ** (1 / 7)

    def beta(self, t: int) -> float:
        """β_t = 1 − α_t."""
        return 1 - min(1.0, 1 / (t * self.rate(t - 1) ** 2 * self.sums[t - 1]))

    def step(self, gradients: Sequence[np.ndarray], second: Sequence[np.ndarray], factor: float = 1.0) -> None:
        """One step; gradients and second are independent samples at x. factor: On η_t; 1 as printed."""
        t = self.t
        self.method.step(gradients, factor * self.rate(t), self.beta(t), self.beta(t + 1))
        pairs = zip(gradients, second, strict=True)
        distance = sum(float(np.sum((np.asarray(a) - np.asarray(b)) ** 2)) for a, b in pairs)
        self.sums.append(self.sums[t] + distance + self._bound**2 * ((t + 1) ** 0.25 - t**0.25))
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
        rates, betas = [], []
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
