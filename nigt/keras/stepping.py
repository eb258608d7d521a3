"""One step over all variables: what they share, then each one's update."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from nigt import adaptive, norms, update
from nigt.keras.iterates import REFUSAL, Iterates


class Stepping(Iterates):
    """How an optimizer with NIGT's settings and slots steps, by Keras's functions on every backend."""

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step, from the gradients at the variables' present values, x.

        Raises:
          RuntimeError: At w (after `eval`, or loaded from there). A compiled step changes nothing there, counts in
            `skipped_steps`, and is reported by `train` and at the end of `fit`.
          ValueError: If a variable is not one of those that the optimizer was built for.
        """
        if self.holds_iterates and not self._is_pure:
            raise RuntimeError(REFUSAL)
        super().apply(grads, trainable_variables)

    def stateless_apply(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras. At w by the state that is given nothing changes, and `skipped_steps` counts it."""
        self._is_pure = True  # on JAX `fit` takes the model's variables away before it traces: an error would lose them
        try:
            return super().stateless_apply(*args, **kwargs)
        finally:
            self._is_pure = False

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Keras's hook at the end of `fit`. Raises RuntimeError if its steps were refused."""
        super().finalize_variable_values(var_list)
        if self.holds_iterates and self._refused():
            raise RuntimeError(REFUSAL)

    def update_step(self, gradient: Sequence[Any], variable: Any, learning_rate: Any) -> None:
        """Stores one variable's step. gradient: what the variable and its slots hold after it."""
        for slot, value in zip((variable, *self._slots(variable)), gradient, strict=True):
            self.assign(slot, value)

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Keras's hook for all variables at once, after clipping and before constraints."""
        if keras.backend.backend() != "tensorflow":
            pairs = zip(self._values(grads, trainable_variables, learning_rate), trainable_variables, strict=True)
            for values, variable in pairs:
                self.update_step(values, variable, learning_rate)
            return
        import tensorflow as tf  # as Keras's own method does it for a strategy's replicas, with all values at once

        inner = [getattr(variable, "value", variable) for variable in trainable_variables]
        reduced = self._all_reduce_sum_gradients(list(zip(grads, inner, strict=True)))
        dense = [tf.ensure_shape(tf.convert_to_tensor(gradient), v.shape) for gradient, v in reduced]
        pairs = zip(self._values(dense, trainable_variables, learning_rate), inner, strict=True)
        tf.__internal__.distribute.interim.maybe_merge_call(
            self._distributed_tf_update_step, self._distribution_strategy, list(pairs), learning_rate
        )

    def _values(self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any) -> Iterator[tuple[Any, ...]]:
        """What each variable and its slots hold after the step; everything as it is if a gradient is not finite."""
        xs = [ops.convert_to_tensor(variable) for variable in variables]
        raw = [ops.cast(ops.convert_to_tensor(g, sparse=False), x.dtype) for g, x in zip(grads, xs, strict=True)]
        decays = [self.weight_decay and not self._undecayed[self._get_variable_index(v)] for v in variables]
        gradients = [g + self.weight_decay * x if decay else g for g, x, decay in zip(raw, xs, decays, strict=True)]
        sizes = [_norm(gradient) for gradient in gradients]
        finite = ops.all(ops.stack([ops.isfinite(size) for size in sizes]))
        keep = ops.logical_or(ops.convert_to_tensor(self._at_iterates), ops.logical_not(finite))
        everything = [
            self._coefficients(variable, x, size, learning_rate)
            for variable, x, size in zip(variables, xs, sizes, strict=True)
        ]
        old = [[ops.convert_to_tensor(slot) for slot in self._slots(variable)] for variable in variables]
        common = None
        if self.normalization == "global":
            common = self._global_ratio(variables, xs, gradients, [own for own, *_ in everything])
        skipped = ops.cast(keep, "int32")
        self.skipped_steps.assign_add(skipped)
        self._iterations.assign_sub(ops.cast(skipped * (self.gradient_accumulation_steps or 1), self._iterations.dtype))

        for variable, x, g, slots, (own, *sums), untouched in zip(
            variables, xs, gradients, old, everything, raw, strict=True
        ):

            def ratio(next_momentum: Any, variable: Any = variable, x: Any = x) -> Any:
                if not self._is_normalized(variable):
                    return None
                if common is not None:
                    return ops.cast(common, x.dtype)
                return update.norm_ratio(ops, self._weight_norm(_norm(x)), _norm(next_momentum))

            stays = keep
            if self.skip_zero_gradient:
                stays = ops.logical_or(keep, ops.all(ops.equal(untouched, 0)))
            following = (*update.step(x, slots[0], slots[1], g, own, ratio), *sums)
            yield tuple(ops.where(stays, now, then) for now, then in zip((x, *slots), following, strict=True))

    def _coefficients(self, variable: Any, x: Any, size: Any, learning_rate: Any) -> tuple[Any, ...]:
        """update.Coefficients of one variable, and, with the released rule, its next norm_sum and largest_norm."""
        rate, dtype = ops.cast(learning_rate, x.dtype), keras.backend.standardize_dtype(x.dtype)
        excluded = self._excluded[self._get_variable_index(variable)]
        sums: tuple[Any, ...] = ()
        scaled = rate * self.excluded_learning_rate_multiplier
        if self.adaptive == "released":
            _, _, norm_sum, largest = map(ops.convert_to_tensor, self._slots(variable))
            norm_sum, largest = sums = norm_sum + size, _larger(largest, size)
            t = ops.cast(self.iterations, x.dtype) + 1
            # η_t and β_t are those of the released learning rate, that of an excluded variable.
            factor, beta = adaptive.released(ops, t, norm_sum, largest, scaled)
            rate, scaled = rate * factor, scaled * factor
            limit = ops.convert_to_tensor(1 - float(np.finfo(dtype).eps), dtype)  # 1 once rounded: x would be infinite
            beta = following = ops.where(beta < limit, beta, limit)
        else:
            beta, following = (self._beta_at(late, dtype) for late in (0, 1))
        transport = following / (1 - following) if self.implicit_gradient_transport else ops.zeros_like(following)
        return update.Coefficients(scaled if excluded else rate, beta, transport), *sums

    def _beta_at(self, late: int, dtype: str) -> Any:
        """β of the step to come, or `late` steps after it."""
        if not callable(self.beta):
            return ops.convert_to_tensor(self.beta, dtype)
        step = ops.convert_to_tensor(self.iterations) + late
        if keras.backend.backend() == "torch":
            step = int(step)  # its integer tensors divide in float32
        elif dtype == "float64":
            step = ops.cast(step, "int64")  # the same of JAX's int32
        return ops.cast(ops.convert_to_tensor(self.beta(step)), dtype)

    def _global_ratio(self, variables: Any, xs: Any, gradients: Any, coefficients: Any) -> Any:
        """‖x‖/‖m‖ or 1/‖m‖ over all normalized variables together (Algorithm 1)."""
        own = [place for place, variable in enumerate(variables) if self._is_normalized(variable)]
        if not own:
            return None
        momenta = [ops.convert_to_tensor(self._slots(variables[i])[0]) for i in own]
        next_momenta = [
            update.averaged(m, gradients[i], coefficients[i].beta) for i, m in zip(own, momenta, strict=True)
        ]
        weight_norm = self._weight_norm(_together([xs[i] for i in own]))
        return update.norm_ratio(ops, weight_norm, _together(next_momenta))

    def _weight_norm(self, size: Any) -> Any:
        if not self.scale_by_weight_norm:
            return None
        return _larger(size, self.weight_norm_floor) if self.weight_norm_floor else size

    def _is_normalized(self, variable: Any) -> bool:
        return self.normalization != "none" and not self._excluded[self._get_variable_index(variable)]

    def _slots(self, variable: Any) -> list[Any]:
        index = self._get_variable_index(variable)
        return [slots[index] for slots in (self._momenta, self._offsets, *self._norm_sums)]


def _larger(size: Any, other: Any) -> Any:
    """ops.maximum, which on PyTorch gives float32 of two numbers in float64."""
    return ops.where(size > other, size, other)


def _together(tensors: Sequence[Any]) -> Any:
    """The norm of several tensors together, from the norm of each."""
    kind = "float64" if any("float64" in str(t.dtype) for t in tensors) else "float32"
    return _norm(ops.stack([ops.cast(_norm(t), kind) for t in tensors]))


def _norm(values: Any) -> Any:
    """norms.norm, which costs far more than the plain sum of squares: only where that loses range."""
    if math.prod(values.shape) == 1:
        return ops.sum(ops.abs(values))  # XLA rewrites the formulas of norms.norm to NaN for a single 0
    square = ops.sum(ops.square(values))
    low, high = norms.SAFE[keras.backend.standardize_dtype(values.dtype)]
    safe = ops.logical_and(square > low, square < high)
    return ops.cond(safe, lambda: ops.sqrt(square), lambda: norms.norm(ops, values))
