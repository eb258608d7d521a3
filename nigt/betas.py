"""β as a function of the step, for the variants of the paper whose β is not one number; for every framework.

A step is a number, or an integer scalar of the framework, counted from 0. The arithmetic is all that the
frameworks share.
"""

from typing import Any

Beta = Any  # a float, or a callable that takes the step and returns β


class StartingAtFirstGradient:
    """β_1 = 0, hence m_1 = g_1 as Algorithm 1 is printed; β from then on. (A number as beta starts at m_0 = 0.)"""

    def __init__(self, beta: float):
        """
        Raises:
          ValueError: If beta is not in [0, 1).
        """
        check(beta)
        self.beta = beta

    def __call__(self, step: Any) -> Any:
        """β of a step."""
        started = 1 - 0**step  # 0, then 1
        return started / 1 * self.beta  # an integer divided is a float, which β may multiply

    def get_config(self) -> dict[str, float]:
        """The constructor's arguments, for Keras."""
        return {"beta": self.beta}

    @classmethod
    def from_config(cls, config: dict[str, float]) -> "StartingAtFirstGradient":
        """The reverse of get_config."""
        return cls(**config)


class Arnold:
    """β_t = t/(t+1) with t = 0 at the first gradient (Arnold et al. 2019; section 3 after Algorithm 1).

    So m is the plain mean of all gradients, each moved to the present iterate.
    """

    def __call__(self, step: Any) -> Any:
        """β of a step."""
        return step / (step + 1)

    def get_config(self) -> dict[str, float]:
        """No arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, float]) -> "Arnold":
        """The reverse of get_config."""
        return cls(**config)


def check(beta: float) -> None:
    """Raises ValueError unless 0 ≤ β < 1, and says why."""
    if not 0 <= beta < 1:
        raise ValueError(
            f"beta must be in [0, 1), got {beta}: the gradient point x = w + beta/(1 - beta)·(w - previous w) "
            "needs beta < 1; 0.9 is the paper's"
        )
