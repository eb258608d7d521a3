"""A NumPy model of the released TensorFlow 1 graph, with its two accidents as parameters.

1. Reads that race writes. The released optimizer recomputes w from x, m and three stored scalars, and overwrites m and
   the scalars in the same graph without a control dependency between the read and the write. Which value a read sees,
   the one of before the step or the new one, is left to the executor. In the recordings it is the same at all 60 steps
   for one variable of one file, and differs between variables that follow the same rule (`bias1` and `gamma1` of
   igt_warm), so no optimizer that is a function of its inputs reproduces them all.
2. Two values of β/(1−β). It extrapolates by the one of Python's β and goes back by the one of the stored float32 β. The
   two differ by 2e-7 for β = 0.9, by 1e-6 for 0.99 and by 1e-5 for 0.999, and what is left over acts as a step of
   β/(1−β) times that: 1.3 % of the learning rate at β = 0.999.

What was meant is that every read sees the old value and that the way back is the way out: that is what NIGT does.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Reads:
    """What each read saw, False: the value of before the step, as meant; True: the value of after it.

    Attributes:
      momentum: m in w = x + β/(1−β)·s·m.
      momentum_norm: ‖m‖ in s.
      weight_norm: The stored ‖x‖ in s.
      learning_rate: The stored learning rate in s.
      beta: The stored β in the numerator of β/(1−β), which only `use_adaptive` changes.
    """

    momentum: bool = False
    momentum_norm: bool = False
    weight_norm: bool = False
    learning_rate: bool = False
    beta: bool = False


def _ratio(weight_norm, momentum_norm, usable):
    return weight_norm / momentum_norm if usable and momentum_norm > 0 else 1.0


class _Given:
    """η and β as they were passed. The two values of β/(1−β): by Python's β on the way out, by the stored one back."""

    def __init__(self, rates, beta, meant):
        self._rates = iter(rates.astype(np.float64))
        self.beta = float(np.float32(beta))
        self.one_minus_beta = float(np.float32(1) - np.float32(beta))
        self.back = self.beta / self.one_minus_beta
        self.out = self.back if meant else beta / (1 - beta)

    def next(self, gradient):
        del gradient
        return next(self._rates), self.beta, self.one_minus_beta, self.out


class _Adaptive:
    """η and β as `use_adaptive` computes them, in float32: at small α, 1 − (1 − α) is not α."""

    def __init__(self, rates):
        self._rates = iter(rates.astype(np.float32))
        self._sum = self._largest = self._step = np.float32(0)

    def next(self, gradient):
        one = np.float32(1)
        size = np.float32(np.linalg.norm(gradient))
        self._sum, self._largest, self._step = self._sum + size, max(self._largest, size), self._step + one
        total = self._sum + np.power(self._step, np.float32(0.25)) * self._largest
        rate = next(self._rates) / np.power(self._step ** np.float32(3) * total ** np.float32(2), np.float32(1 / 7))
        beta = one - min(one, one / (self._step * rate * rate * total))
        return float(rate), float(beta), float(one - beta), float(beta) / float(one - beta)


def replay(initial, gradients, rates, *, beta, reads, excluded, transport=True, decay=0.0, gamma=1e-3, meant=False):
    """Yields (x, w) after each step, float64; w as the released `compute_x` recovers it, which always adds the offset.

    Args:
      initial: The variable before the first step. gradients: (steps, …). rates: The released learning rates.
      beta: A number; None: `use_adaptive`.
      excluded: Whether the variable is left out of the normalization.
      meant: Whether the way back uses the same β/(1−β) as the way out; False: as released.
    """
    rule = _Adaptive(rates) if beta is None else _Given(rates, beta, meant)
    x, momentum = initial.astype(np.float64), np.zeros(initial.shape)
    old_rate, old_weight_norm, old_beta, old_one_minus_beta = 0.0, 0.0, 0.0, 1.0
    for gradient in gradients.astype(np.float64):
        gradient = gradient + (0.0 if excluded else decay * x)
        rate, beta, one_minus_beta, out = rule.next(gradient)
        new_momentum = beta * momentum + one_minus_beta * gradient
        weight_norm = np.linalg.norm(x)

        def scale(rate, weight_norm, momentum, usable):
            return rate * (1.0 if excluded else gamma * _ratio(weight_norm, np.linalg.norm(momentum), usable))

        seen_scale = scale(
            rate if reads.learning_rate else old_rate,
            weight_norm if reads.weight_norm else old_weight_norm,
            new_momentum if reads.momentum_norm else momentum,
            usable=old_weight_norm > 0,  # the test for a zero norm is a read of its own, and saw the old value
        )
        back = (beta if reads.beta else old_beta) / old_one_minus_beta
        w = x + transport * back * seen_scale * (new_momentum if reads.momentum else momentum)
        new_scale = scale(rate, weight_norm, new_momentum, usable=weight_norm > 0)
        x = w - (1 + transport * out) * new_scale * new_momentum
        momentum, old_rate, old_weight_norm = new_momentum, rate, weight_norm
        old_beta, old_one_minus_beta = beta, one_minus_beta
        yield x, x + beta / one_minus_beta * new_scale * momentum
