"""From the gradient points x, which the model's variables hold, to the iterates w, and back."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from nigt import update

REFUSAL = (
    "NIGT: a step at w, where optimizer.eval() put the variables, or where they were saved: call optimizer.train(), "
    "or optimizer.reset() to go on from what they hold"
)


class Iterates(keras.optimizers.Optimizer):
    """What an optimizer with the slots `_momenta` and `_offsets` and the flag `_at_iterates` can say of w.

    What is kept between `eval` and `train` is in Python and not Keras's to track: `_points`, the x of each variable,
    `_iterates`, its w, and `_skipped_before`.
    """

    _points: list[Any]
    _iterates: list[Any]
    _skipped_before: int

    def iterates(self) -> list[Any]:
        """The iterate w of each variable, as tensors in the order of `build`; none before it. Changes nothing."""
        held = ops.convert_to_tensor(self._at_iterates)
        offsets = [
            None if offset is None else ops.where(held, 0.0, ops.convert_to_tensor(offset)) for offset in self._offsets
        ]
        slots = zip(self._trainable_variables, self._momenta, offsets, strict=True)
        return [
            ops.convert_to_tensor(x if m is None else update.iterate(x, m, ops.cast(offset, x.dtype)))
            for x, m, offset in slots
        ]

    def stateless_iterates(self, optimizer_variables: Sequence[Any], trainable_variables: Sequence[Any]) -> list[Any]:
        """The same of given values, for loops around `stateless_apply`; pure, and may be compiled.

        Args:
          optimizer_variables: Values of `optimizer.variables`.
          trainable_variables: Values of the variables that the optimizer was built for, x.
        """
        variables = [*self._trainable_variables, *self.variables]
        values = [*trainable_variables, *optimizer_variables]
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return self.iterates()

    @property
    def holds_iterates(self) -> bool:
        """Whether the variables hold w: after `eval`, or as loaded from a file that was saved there."""
        return bool(self._points)

    def eval(self) -> None:
        """Puts the iterates w into the variables: to evaluate and to save for use. Nothing if they hold w.

        What Keras saves there of the optimizer (.keras, save_weights) has x too, so that `train` works after loading.
        """
        if self.holds_iterates or not self.built:
            return
        self._iterates[:] = map(ops.copy, self.iterates())  # JAX donates what a variable holds
        self._points[:] = [ops.copy(variable) for variable in self._trainable_variables]
        self._skipped_before = self._skips()
        try:
            self._assign(self.iterates())
            self._at_iterates.assign(True)
        except BaseException:  # Ctrl-C between two variables: nobody would leave what was entered in part
            self.train()
            raise

    def train(self, keep_changes: bool = False) -> None:
        """Puts the gradient points x back, bit for bit. Nothing if the variables hold x.

        Args:
          keep_changes: True: where a variable was given another value at w (the best weights, by a callback), all stay
            as they are, and m is forgotten.

        Raises:
          RuntimeError: If a compiled step was refused at w.
        """
        if not self.holds_iterates:
            return
        held = zip(self._trainable_variables, self._iterates, strict=False)  # none after loading
        if keep_changes and any(not np.array_equal(_array(v), _array(w), equal_nan=True) for v, w in held):
            self.reset()
            return
        self._assign(self._points)
        self._forget_points()
        if refused := self._refused():
            raise RuntimeError(f"NIGT: {refused} step(s) at w were refused and changed nothing")

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, the variables hold w; on leaving, x as before. Raises as `train`."""
        self.eval()
        try:
            yield
        finally:
            self.train()

    def reset(self) -> None:
        """Forgets m, so that w = x = what the variables hold: after load_weights or assign in a model in training."""
        self._forget_points()
        for slot in (*self._momenta, *self._offsets):
            if slot is not None:
                slot.assign(ops.zeros(slot.shape, slot.dtype))

    def save_own_variables(self, store: Any) -> None:
        """As in Keras; at w with x."""
        super().save_own_variables(store)
        for place, point in enumerate(self._points):
            store[f"x{place}"] = _array(point)

    def load_own_variables(self, store: Any) -> None:
        """As in Keras; what was saved at w is at w again."""
        values = {key: store[key] for key in store.keys()}
        points = [_array(values.pop(key)) for key in sorted(values, key=_place) if key.startswith("x")]
        super().load_own_variables(values)
        if len(values) == len(self.variables):  # else Keras has warned, and loaded nothing
            self._points[:], self._iterates[:] = points, []
            self._skipped_before = self._skips()

    def _refused(self) -> int:
        """The compiled steps that were refused at w since this was asked; skipped_steps forgets them."""
        refused = self._skips() - self._skipped_before
        self.skipped_steps.assign(self._skipped_before)
        return refused

    def _skips(self) -> int:
        return int(_array(self.skipped_steps))

    def _forget_points(self) -> None:
        self._points.clear()
        self._iterates.clear()
        self._at_iterates.assign(False)

    def _assign(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self._trainable_variables, values, strict=True):
            variable.assign(value)


def _array(value: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(value))


def _place(key: str) -> int:
    return int(key.removeprefix("x"))
