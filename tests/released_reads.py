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
    """

    momentum: bool = False
    momentum_norm: bool = False
    weight_norm: bool = False
    learning_rate: bool = False


def _ratio(weight_norm, momentum_norm, usable):
    return weight_norm / momentum_norm if usable and momentum_norm > 0 else 1.0


def replay(initial, gradients, rates, *, beta, reads, excluded, transport=True, decay=0.0, gamma=1e-3, meant=False):
    """Yields (x, w) after each step, float64; w as the released `compute_x` recovers it, which always adds the offset.

    Args:
      initial: The variable before the first step. gradients: (steps, …). rates: The released learning rates.
      excluded: Whether the variable is left out of the normalization.
      meant: Whether the way back uses the same β/(1−β) as the way out; False: as released.
    """
    rounded = np.float32(beta)
    one_minus_beta = float(np.float32(1) - rounded)
    back = float(rounded) / one_minus_beta
    out = back if meant else beta / (1 - beta)
    beta = float(rounded)
    x, momentum = initial.astype(np.float64), np.zeros(initial.shape)
    old_rate, old_weight_norm = 0.0, 0.0
    for gradient, rate in zip(gradients.astype(np.float64), rates.astype(np.float64), strict=True):
        new_momentum = beta * momentum + one_minus_beta * (gradient + (0.0 if excluded else decay * x))
        weight_norm = np.linalg.norm(x)

        def scale(rate, weight_norm, momentum, usable):
            return rate * (1.0 if excluded else gamma * _ratio(weight_norm, np.linalg.norm(momentum), usable))

        seen_scale = scale(
            rate if reads.learning_rate else old_rate,
            weight_norm if reads.weight_norm else old_weight_norm,
            new_momentum if reads.momentum_norm else momentum,
            usable=old_weight_norm > 0,  # the test for a zero norm is a read of its own, and saw the old value
        )
        w = x + transport * back * seen_scale * (new_momentum if reads.momentum else momentum)
        new_scale = scale(rate, weight_norm, new_momentum, usable=weight_norm > 0)
        x = w - (1 + transport * out) * new_scale * new_momentum
        momentum, old_rate, old_weight_norm = new_momentum, rate, weight_norm
        yield x, x + back * new_scale * momentum
