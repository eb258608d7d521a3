"""From the gradient points x, which the model's variables hold, to the iterates w, and back."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from nigt import update
from nigt.tf_keras import norms

REFUSAL = "NIGT: a step inside `evaluating`, where the variables hold w; leave it before training on"
# Of ‖x‖ against what it was after the last step; rounding differs by less between devices.
CHANGED = 1e-4


class Iterates(tf_keras.optimizers.Optimizer):
    """What an optimizer with the slots `_momentums`, `_offsets` and `_weight_norms` can say of w."""

    _inside_evaluating: bool
    _inside_with: bool
    _known: list[tf.Variable]
    _held: list[tuple[tf.Variable, tf.Tensor]]
    _assigned: list[tuple[tf.Variable, tf.Tensor]]

    def iterates(self, variables: Sequence[tf.Variable]) -> list[tf.Tensor]:
        """The iterate w of each variable, in order and shape. Changes nothing.

        Variables that the optimizer does not know (not trained, or before the first step) are their own iterates. Warns
        if it knows none of them: they may be those of another model, a copy of the trained one.

        Raises:
          RuntimeError: If a checkpoint was restored whose state has no variables yet to go to.
        """
        self._refuse_pending_restore()
        self._warn_of_strangers(variables)
        result = []
        for variable in variables:
            index = self._index_of(variable)
            value = tf.convert_to_tensor(variable)
            if index is not None:
                momentum = tf.cast(self._momentums[index], value.dtype)
                value = update.iterate(value, momentum, tf.convert_to_tensor(self._offsets[index]))
            result.append(value)
        return result

    @contextlib.contextmanager
    def evaluating(self, variables: Sequence[tf.Variable]) -> Iterator[None]:
        """Inside, the variables hold w; on leaving, exactly (bit for bit) the x that they held before.

        So does every other variable that the optimizer knows: a layer that was frozen since has an x and a w as well.
        The optimizer's state is that of w as well, so that `iterates` gives w and a model saved inside goes on from w.
        Warns of variables that were changed from outside since the last step, where it can be seen (their ‖x‖, if
        steps are scaled by it, is not what the last step left): their w cannot be known.

        Raises:
          RuntimeError: If entered twice, or on leaving if a step compiled by XLA was refused inside; or as `iterates`.
        """
        self.hold_iterates(variables)
        self._inside_with = True
        try:
            yield
        finally:
            self._inside_with = False
            self.give_back()

    @property
    def holds_iterates(self) -> bool:
        """Whether `evaluating` is entered."""
        return self._inside_evaluating

    @property
    def known_variables(self) -> tuple[tf.Variable, ...]:
        """Those that have state, in the order of `build`; none before the first step."""
        return tuple(self._known)

    def hold_iterates(self, variables: Sequence[tf.Variable] = ()) -> None:
        """Enters `evaluating` where a `with` does not fit (callbacks); give_back leaves it. Raises as `evaluating`."""
        if self._inside_evaluating:
            raise RuntimeError("NIGT: `evaluating` is entered already")
        self._warn_of_strangers(variables)
        variables = [*self._known, *(v for v in variables if self._index_of(v) is None)]
        self._warn_of_changes(variables)
        iterates = self.iterates(variables)
        # What is changed here, with its present value; kept by the optimizer, so that anybody can leave.
        self._held[:] = values_of([*variables, *self._scalars_of(variables)])
        self._assigned[:] = zip(variables, iterates, strict=True)
        self._inside_evaluating = True
        self._blocked.assign(True)
        self._refused_steps.assign(0)
        try:
            for variable, iterate in zip(variables, iterates, strict=True):
                variable.assign(iterate)
                index = self._index_of(variable)
                if index is not None:
                    self._offsets[index].assign(tf.zeros_like(self._offsets[index]))
                    self._store_weight_norm(variable, index)
        except BaseException:  # Ctrl-C between two variables: nobody would leave what was entered in part
            self.give_back()
            raise

    def leave_iterates(self) -> bool:
        """As give_back, for callbacks: weights that one of them set inside (EarlyStopping's best, say) stay.

        Then all variables stay as they are: at w, or at what was set, whose m is forgotten. Leaves a `with` alone.

        Returns:
          Whether there was anything to leave.
        """
        entered = self._inside_evaluating and not self._inside_with
        if entered:
            self.give_back(keep_changes=True)
        return entered

    def give_back(self, keep_changes: bool = False) -> None:
        """Leaves `evaluating`, if it is entered.

        Args:
          keep_changes: As in leave_iterates; False: x comes back whatever was assigned inside.

        Raises:
          RuntimeError: If a step compiled by XLA was refused inside.
        """
        if not self._inside_evaluating:
            return
        changed = changed_since(self._assigned) if keep_changes else []
        if not changed:
            for variable, value in self._held:
                variable.assign(value)
        self._held.clear()
        self._assigned.clear()
        self._inside_evaluating = False
        self._blocked.assign(False)
        self.reset([v for v in changed if self._index_of(v) is not None])
        refused = int(self._refused_steps.numpy())
        if refused:
            raise RuntimeError(f"NIGT: {refused} step(s) inside `evaluating` were refused and changed nothing")

    def reset(self, variables: Sequence[tf.Variable]) -> None:
        """Forgets m, so that w = x: call it after variables were changed from outside (load_weights, assign).

        Raises:
          ValueError: If a variable is not one that this optimizer was built for.
          RuntimeError: Inside `evaluating`, where what is changed is lost on leaving.
        """
        if self._inside_evaluating:
            raise RuntimeError("NIGT: reset inside `evaluating`, where the variables hold w; leave it before")
        for variable in variables:
            index = self._index_of(variable)
            if index is None:
                raise ValueError(f"NIGT has no state for {variable.name}: nothing to reset")
            self._momentums[index].assign(tf.zeros_like(self._momentums[index]))
            self._offsets[index].assign(tf.zeros_like(self._offsets[index]))
            self._store_weight_norm(variable, index)

    def _index_of(self, variable: tf.Variable) -> Any:
        """The variable's place in the slots, an int; None if the optimizer does not know it."""
        return self._index_dict.get(self._var_key(variable)) if getattr(self, "_built", False) else None

    def _store_weight_norm(self, variable: tf.Variable, index: int) -> None:
        weight_norm = self._weight_norms.get(str(index))
        if weight_norm is not None:
            weight_norm.assign(norms.norm(tf.convert_to_tensor(variable)))

    def _scalars_of(self, variables: Sequence[tf.Variable]) -> list[tf.Variable]:
        indices = [index for index in map(self._index_of, variables) if index is not None]
        stored = [self._weight_norms.get(str(index)) for index in indices]
        return [self._offsets[index] for index in indices] + [slot for slot in stored if slot is not None]

    def _refuse_pending_restore(self) -> None:
        """State of a checkpoint waits for slots that are created with the first step: w would be taken for x."""
        pending = self._variables._self_unconditional_deferred_dependencies
        if not getattr(self, "_built", False) and pending:
            raise RuntimeError(
                "NIGT: a checkpoint was restored before the optimizer knew its variables, so w is not known; "
                "call optimizer.build(model.trainable_variables) first"
            )

    def _warn_of_strangers(self, variables: Sequence[tf.Variable]) -> None:
        trained = [v for v in variables if v.trainable]
        if trained and self._known and all(self._index_of(v) is None for v in variables):
            warnings.warn(
                f"NIGT knows none of these variables, {trained[0].name} and so on, and takes each for its own iterate: "
                f"it was built for others, {self._known[0].name} and so on",
                stacklevel=4,
            )

    def _warn_of_changes(self, variables: Sequence[tf.Variable]) -> None:
        changed = []
        for variable in variables:
            index = self._index_of(variable)
            slot = None if index is None else self._weight_norms.get(str(index))
            if slot is None or variable.constraint is not None:
                continue
            now, then = norms.norm(tf.convert_to_tensor(variable)), tf.convert_to_tensor(slot)
            if abs(float(now) - float(then)) > CHANGED * max(float(now), float(then)):
                changed.append(variable.name)
        if changed:
            warnings.warn(
                f"NIGT: changed from outside since the last step, so that w is not known: {', '.join(changed)}; "
                "call optimizer.reset(variables) after load_weights or assign",
                stacklevel=4,
            )

    def _create_guard(self) -> None:
        """What refuses steps inside `evaluating`, also compiled ones.

        Not tracked: a checkpoint that is written inside `evaluating` must not carry the guard into the next run.
        """
        self._inside_evaluating = self._inside_with = False
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        with tf.init_scope():
            blocked = tf.Variable(False, trainable=False, aggregation=first, name="evaluating")
            refused = tf.Variable(0, dtype=tf.int64, trainable=False, aggregation=first, name="refused_steps")
        self.__dict__.update(_blocked=blocked, _refused_steps=refused, _known=[], _held=[], _assigned=[])

    @contextlib.contextmanager
    def _refusing_inside_evaluating(self) -> Iterator[None]:
        if tf.executing_eagerly():
            if self._inside_evaluating:
                raise RuntimeError(REFUSAL)
            yield
            return
        with tf.control_dependencies([tf.debugging.Assert(tf.logical_not(self._blocked), [REFUSAL])]):
            # Reached inside `evaluating` only where XLA has dropped the assertion.
            self._refused_steps.assign_add(tf.cast(self._blocked, tf.int64))
            yield


def values_of(variables: Sequence[tf.Variable]) -> list[tuple[tf.Variable, tf.Tensor]]:
    """The variables with what they hold now, for changed_since."""
    return [(variable, tf.identity(variable)) for variable in variables]


def changed_since(values: Sequence[tuple[tf.Variable, tf.Tensor]]) -> list[tf.Variable]:
    """The variables that hold something else now."""
    return [v for v, value in values if not np.array_equal(v.numpy(), value.numpy(), equal_nan=True)]
