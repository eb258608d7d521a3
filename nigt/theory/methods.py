"""The methods as printed, over replicates: each steps nigt.reference's TwoSlot, the optimizer's oracle.

A step is counted t = 1, 2, …; the first momentum is the first gradient (Theorems 1 and 3: m_1 = ∇f(w_1, ξ_1)).
"""

from collections.abc import Callable

import numpy as np

from nigt import reference
from nigt.theory import bounds
from nigt.theory.oracles import Oracle

PRINTED_CONSTANT, CORRECTED_CONSTANT = 26, 52  # of Algorithm 2's C; docs/errata.md
WITH_MOMENTUM = ("nsgdm", "nigt")  # by an α of their own
Sampler = Callable[[], np.ndarray]  # a fresh ξ of all replicates


class Method:
    """One method on n replicates.

    Attributes:
      rate: η_t of the last step.
      alpha: 1 − β_t of the last step.
    """

    rate: reference.Scalar
    alpha: reference.Scalar

    def __init__(self, oracle: Oracle, start: np.ndarray, normalized: bool, transport: bool):
        """
        Args:
          oracle: Of the gradients.
          start: w_1 of the replicates, [n, d].
          normalized: Whether w moves by η along m/‖m‖, or by η·m.
          transport: Whether gradients are taken at x, ahead of w (Algorithm 1), or at w.
        """
        settings = reference.Settings(
            normalization="layer" if normalized else "none",
            scale_by_weight_norm=False,
            transport=transport,
            norm=reference.last_axis_norm,
        )
        self._slots = reference.TwoSlot([start], [False], settings)
        self._oracle, self._t = oracle, 1

    @property
    def w(self) -> np.ndarray:
        """The iterates w_t, [n, d]."""
        return self._slots.w[0]

    @property
    def x(self) -> np.ndarray:
        """Where the next gradient is taken, [n, d]."""
        return self._slots.x[0]

    @property
    def m(self) -> np.ndarray:
        """The momentum m_t, [n, d]."""
        return self._slots.m[0]

    def step(self, sample: Sampler) -> None:
        """One step, from w_t to w_{t+1}."""
        raise NotImplementedError


class Scheduled(Method):
    """Any method whose η is constant and whose β depends on t alone."""

    def __init__(
        self,
        oracle: Oracle,
        start: np.ndarray,
        rate: reference.Scalar,
        beta: Callable[[int], reference.Scalar],
        normalized: bool = True,
        transport: bool = False,
    ):
        """
        Args: See Method.
          rate: η, one or one a replicate, [n, 1].
          beta: β_t of t counted from 1, one or one a replicate, [n, 1]; β_1 must be 0: m_1 is the first gradient.
        """
        super().__init__(oracle, start, normalized, transport)
        self.rate, self._beta = rate, beta

    def step(self, sample: Sampler) -> None:
        t = self._t
        gradient = self._oracle.gradient(self.x, sample())
        self.alpha = 1 - self._beta(t)
        self._slots.step([gradient], self.rate, self._beta(t), self._beta(t + 1))
        self._t += 1


class Adaptive(Method):
    """Algorithm 2: η_t and β_t from two independent gradients at x_t."""

    def __init__(self, oracle: Oracle, start: np.ndarray, gradient_bound: float, constant: float):
        """
        Args: See Method.
          gradient_bound: The paper's g.
          constant: 26 as printed, 52 for the ½ that the proof asks for.
        """
        super().__init__(oracle, start, normalized=True, transport=True)
        self._rule = reference.Algorithm2(self._slots, gradient_bound, constant)

    def step(self, sample: Sampler) -> None:
        t, x = self._t, self.x
        self.rate, self.alpha = self._rule.rate(t), self._rule.alpha(t)
        self._rule.step([self._oracle.gradient(x, sample())], [self._oracle.gradient(x, sample())])
        self._t += 1


class Storm(Method):
    """STORM (Cutkosky & Orabona, 2019): one sample at two points, which the paper's oracle forbids.

    d_t = ∇f(w_t, ξ_t) + (1 − a_t)·(d_{t−1} − ∇f(w_{t−1}, ξ_t)),  w_{t+1} = w_t − η_t·d_t,
    η_t = k/(ω + Σ_{i≤t}‖∇f(w_i, ξ_i)‖²)^{1/3},  a_{t+1} = c·η_t², with their Theorem 1's k, c and ω for b = 1.
    With β = 1 − a it is TwoSlot's momentum of the gradient (∇f(w_t, ξ_t) − β·∇f(w_{t−1}, ξ_t))/a.
    """

    def __init__(self, oracle: Oracle, start: np.ndarray, gradient_bound: float, scale: float = 1.0):
        """
        Args: See Method.
          gradient_bound: G, a bound on ‖∇f(w, ξ)‖.
          scale: b.
        """
        super().__init__(oracle, start, normalized=False, transport=False)
        smoothness = oracle.objective.smoothness
        self._k = scale * gradient_bound ** (2 / 3) / smoothness
        self._c = 28 * smoothness**2 + gradient_bound**2 / (7 * smoothness * self._k**3)
        first = (4 * smoothness * self._k) ** 3, 2 * gradient_bound**2, (self._c * self._k / (4 * smoothness)) ** 3
        self._sum: reference.Scalar = max(first)
        self._previous = self.w
        self.alpha = 1.0

    def step(self, sample: Sampler) -> None:
        xi = sample()
        gradient = self._oracle.gradient(self.w, xi)
        if self._t > 1:
            self.alpha = self._c * self.rate**2
        beta = 1 - self.alpha
        old = self._oracle.gradient(self._previous, xi)  # multiplied by β = 0 at the first step
        self._sum = self._sum + reference.last_axis_norm(gradient) ** 2
        self.rate = self._k / np.cbrt(self._sum)
        self._previous = self.w
        self._slots.step([(gradient - beta * old) / self.alpha], self.rate, beta, beta)
        self._t += 1


def constants_of(oracle: Oracle) -> bounds.Constants:
    """L, R, σ and ρ of an oracle and its objective."""
    objective = oracle.objective
    return bounds.Constants(objective.smoothness, objective.gap, oracle.sigma, objective.rho)


def default_rate(name: str, oracle: Oracle, steps: int) -> float:
    """η of a method whose learning rate is one number.

    nsgdm and nigt: Theorems 1 and 3. nsgd: Theorem 1 with α = 1. sgd and igt, for which the paper gives none: what
    balances the two terms of Ghadimi & Lan's bound, min(1/L, √(R/(T·L))/σ), to be tuned around.

    Args:
      name: Of the method.
      oracle: Of the gradients.
      steps: T.

    Raises:
      ValueError: The method sets its own η_t.
    """
    constants = constants_of(oracle)
    plain = np.sqrt(constants.gap / (steps * constants.smoothness))
    if name == "nsgd":
        return float(plain)
    if name == "nsgdm":
        return bounds.theorem1_choice(constants, steps).rate
    if name == "nigt":
        return bounds.theorem3_choice(constants, steps).rate
    if name in ("sgd", "igt"):
        return float(min(1 / constants.smoothness, plain / constants.sigma if constants.sigma else np.inf))
    raise ValueError(f"method: {name} sets its own learning rate; choose nsgd, nsgdm, nigt, sgd or igt")


def bound_of(name: str, oracle: Oracle, steps: int) -> float | None:
    """The paper's bound on the mean of ‖∇F(w_t)‖; None where it gives no number."""
    if name == "nsgdm":
        return bounds.theorem1_bound(constants_of(oracle), steps)
    if name == "nigt":
        return bounds.theorem3_bound(constants_of(oracle), steps)
    return None


def arnold_beta(t: int) -> float:
    """β_t = (t − 1)/t: Arnold et al.'s t/(t + 1), whose t starts at 0 for the first gradient."""
    return (t - 1) / t


def make(
    name: str,
    oracle: Oracle,
    steps: int,
    start: np.ndarray,
    rate: reference.Scalar | None = None,
    gradient_bound: float | None = None,
    alpha: reference.Scalar | None = None,
    told: Oracle | None = None,
) -> Method:
    """A method by its name in results.

    Args:
      name: nsgd, nsgdm, nigt, sgd, igt, adaptive, adaptive_corrected or storm.
      oracle: Of the gradients.
      steps: T, which the settings of η and α depend on.
      start: w_1 of the replicates, [n, d].
      rate: η instead of default_rate, one or one a replicate, [n, 1].
      gradient_bound: g or G, for adaptive, adaptive_corrected and storm.
      alpha: α of nsgdm or nigt instead of the theorem's, one or one a replicate, [n, 1].
      told: Whose L, R, σ and ρ set η and α; None: the oracle's own.

    Raises:
      ValueError: name is unknown, or gradient_bound, rate or alpha is missing or not wanted.
    """
    if alpha is not None and name not in WITH_MOMENTUM:
        raise ValueError(f"alpha: {name} takes none; choose {' or '.join(WITH_MOMENTUM)}")
    if name in ("adaptive", "adaptive_corrected", "storm"):
        if gradient_bound is None or rate is not None:
            raise ValueError(f"gradient_bound: {name} takes it, and no rate")
        if name == "storm":
            return Storm(oracle, start, gradient_bound)
        constant = PRINTED_CONSTANT if name == "adaptive" else CORRECTED_CONSTANT
        return Adaptive(oracle, start, gradient_bound, constant)
    if name not in ("nsgd", "nsgdm", "nigt", "sgd", "igt"):
        raise ValueError(f"method: unknown {name}; see nigt.theory.methods.make")
    told = oracle if told is None else told
    if rate is None:
        rate = default_rate(name, told, steps)
    if name == "igt":
        return Scheduled(oracle, start, rate, arnold_beta, normalized=False, transport=True)
    if alpha is None and name in WITH_MOMENTUM:
        choice = bounds.theorem1_choice if name == "nsgdm" else bounds.theorem3_choice
        alpha = choice(constants_of(told), steps).alpha
    beta = 0.0 if alpha is None else 1 - alpha
    return Scheduled(
        oracle, start, rate, lambda t: beta if t > 1 else 0.0, normalized=name != "sgd", transport=name == "nigt"
    )
