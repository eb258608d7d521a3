"""The 2-norm of a whole array that neither under- nor overflows, in any framework."""

from typing import Any

# Blue's constants, as powers of 2 (LAPACK's la_constants; the upper limit is lower than there, so that 2^36 squares can
# be added): magnitudes above `big` are multiplied by `shrink` before they are squared, those below `small` by `grow`.
_BLUE = {
    "float32": {"big": 45, "shrink": -76, "small": -63, "grow": 75},
    "float64": {"big": 470, "shrink": -538, "small": -511, "grow": 537},
}
# Sums of squares within these limits have lost nothing to either end of the dtype's range: their root is the norm.
SAFE = {"float32": (1e-22, 1e38), "float64": (1e-290, 1e307)}


def norm(xp: Any, values: Any) -> Any:
    """The 2-norm in one pass: three sums of squares, of the large, the usual and the small magnitudes (Blue 1978).

    NaN or Inf in values gives NaN or Inf. A compiler reads values once, whatever it was computed from.

    Args:
      xp: The framework's functions by NumPy's names (nigt/update.py).
      values: float32 or float64, any shape.
    """
    constants = _BLUE["float64" if "float64" in str(values.dtype) else "float32"]
    power = {name: 2.0**exponent for name, exponent in constants.items()}
    magnitude = xp.abs(values)
    is_big, is_small = magnitude > power["big"], magnitude < power["small"]
    big = xp.sum(xp.where(is_big, xp.square(values * power["shrink"]), 0.0))
    small = xp.sum(xp.where(is_small, xp.square(values * power["grow"]), 0.0))
    # Neither big nor small: NaN comes here.
    usual = xp.sum(xp.where(~(is_big | is_small), xp.square(values), 0.0))
    with_big = xp.sqrt(big + usual * power["shrink"] * power["shrink"]) / power["shrink"]
    with_usual = xp.sqrt(usual + small / power["grow"] / power["grow"])
    with_small = xp.sqrt(small) / power["grow"]
    result = xp.where(big > 0, with_big, xp.where(usual > 0, with_usual, with_small))
    return xp.where(xp.isnan(usual), usual, result)
