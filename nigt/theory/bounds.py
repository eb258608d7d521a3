"""Theorems 1 and 3: their settings of η and α, and their bounds on the mean of ‖∇F(w_t)‖; Lemma 2.

The bounds are the ones that the proofs give; docs/errata.md says where the printed ones differ.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Constants:
    """What the theorems are told.

    Attributes:
      smoothness: L > 0.
      gap: R > 0, any upper bound on F(w_1).
      sigma: σ ≥ 0.
      rho: ρ ≥ 0; Theorem 3 needs ρ > 0, for which any upper bound will do.
    """

    smoothness: float
    gap: float
    sigma: float
    rho: float

    def __post_init__(self) -> None:
        for name in ("smoothness", "gap"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)}; must be positive (any upper bound will do)")
        for name in ("sigma", "rho"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: {getattr(self, name)}; must not be negative")


@dataclasses.dataclass(frozen=True)
class Choice:
    """η and α = 1 − β of a run of known length."""

    rate: float
    alpha: float


def theorem1_choice(constants: Constants, steps: int) -> Choice:
    """α = min(√(RL)/(σ√T), 1), η = √(Rα)/√(TL); σ = 0 means α = 1.

    Args:
      constants: Of the problem; ρ is not used.
      steps: T.
    """
    product = constants.gap * constants.smoothness
    largest = np.sqrt(product / steps)  # of σ for which α = 1
    alpha = 1.0 if constants.sigma <= largest else float(largest / constants.sigma)
    return Choice(float(np.sqrt(constants.gap * alpha / (steps * constants.smoothness))), alpha)


def theorem1_bound(constants: Constants, steps: int) -> float:
    """29·√(RL)/√T + 21·√σ·(RL)^¼/T^¼ + 8σ²/√(RLT); the last term is printed as 8σ/√(RLT)."""
    product, sigma = constants.gap * constants.smoothness, constants.sigma
    return float(
        29 * np.sqrt(product / steps)
        + 21 * np.sqrt(sigma) * (product / steps) ** 0.25
        + 8 * sigma**2 / np.sqrt(product * steps)
    )


def theorem3_choice(constants: Constants, steps: int) -> Choice:
    """η = min(R^{5/7}/(T^{5/7}·ρ^{1/7}·σ^{4/7}), √(R/(TL))), α = min(R^{4/7}·ρ^{2/7}/(T^{4/7}·σ^{6/7}), 1).

    σ = 0 means that the second of both is the smaller.

    Raises:
      ValueError: ρ = 0, for which the printed α is 0 and x_t divides by it.
    """
    _need_rho(constants)
    gap, rho, sigma = constants.gap, constants.rho, constants.sigma
    plain = float(np.sqrt(gap / (steps * constants.smoothness)))
    if sigma == 0:
        return Choice(plain, 1.0)
    share = gap / steps
    rate = min(share ** (5 / 7) / (rho ** (1 / 7) * sigma ** (4 / 7)), plain)
    return Choice(float(rate), float(min(share ** (4 / 7) * rho ** (2 / 7) / sigma ** (6 / 7), 1.0)))


def theorem3_bound(constants: Constants, steps: int) -> float:
    """5·√(RL)/√T + 8σ^{13/7}/(R^{4/7}·ρ^{2/7}·T^{3/7}) + 27·R^{2/7}·ρ^{1/7}·σ^{4/7}/T^{2/7}.

    Raises:
      ValueError: ρ = 0.
    """
    _need_rho(constants)
    gap, rho, sigma = constants.gap, constants.rho, constants.sigma
    return float(
        5 * np.sqrt(gap * constants.smoothness / steps)
        + 8 * sigma ** (13 / 7) / (gap ** (4 / 7) * rho ** (2 / 7) * steps ** (3 / 7))
        + 27 * (gap / steps) ** (2 / 7) * rho ** (1 / 7) * sigma ** (4 / 7)
    )


def lemma2_step(gradient_norm: np.ndarray, error: np.ndarray, rate: float, smoothness: float) -> np.ndarray:
    """Lemma 2's bound on F(w_{t+1}) − F(w_t) for w_{t+1} = w_t − η·ĝ/‖ĝ‖: −η/3·‖∇F‖ + 8η/3·‖ĝ − ∇F‖ + Lη²/2.

    Args:
      gradient_norm, error: ‖∇F(w_t)‖ and ‖ĝ_t − ∇F(w_t)‖, [...].
      rate: η_t.
      smoothness: L.
    """
    return -rate / 3 * gradient_norm + 8 * rate / 3 * error + smoothness * rate**2 / 2


def lemma2_sum(gap: float, rate: float, smoothness: float, error_sum: np.ndarray, steps: int) -> np.ndarray:
    """Lemma 2's bound on Σ‖∇F(w_t)‖ with a constant η: 3F(w_1)/η + 3LTη/2 + 8·Σ‖ĝ_t − ∇F(w_t)‖."""
    return 3 * gap / rate + 1.5 * smoothness * steps * rate + 8 * error_sum


def _need_rho(constants: Constants) -> None:
    if constants.rho == 0:
        raise ValueError("rho: 0; Theorem 3 divides by it: give any positive upper bound (A4 is an inequality)")
