"""One step over all variables: what they share, then each one's update."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nigt import adaptive, names, update
from nigt.tf_keras import kernels, namespace, norms
from nigt.tf_keras.iterates import Iterates
from nigt.tf_keras.xla import compiled_by_xla

Pairs = Sequence[tuple[tf.Tensor, tf.Variable]]


class Stepping(Iterates):
    """How an optimizer with NIGT's settings and slots steps.

    A step is taken in two passes. The first reads: the coefficients, whether every gradient is finite, and the norms
    that are needed before a variable may change. The second updates variable by variable, or nothing at all.
    """

    def _internal_apply_gradients(self, grads_and_vars: Any) -> Any:
        raw = [(tf.convert_to_tensor(gradient), v) for gradient, v in grads_and_vars]
        pairs = [(self._decayed(*pair), pair[1]) for pair in raw]
        scalars = self._coefficients(pairs)
        momentum_norms = self._momentum_norms(pairs, scalars)
        finite = self._all_finite(pairs, momentum_norms)
        blocked = tf.convert_to_tensor(self._blocked)
        keep = tf.logical_or(blocked, tf.logical_not(finite))
        if self.normalization == "global":
            ratio = self._global_ratio(pairs, momentum_norms)
            for own, (_, variable) in zip(scalars, pairs, strict=True):
                own["ratio"] = tf.cast(ratio, variable.dtype)
        else:
            for own, momentum_norm in zip(scalars, momentum_norms, strict=True):
                if momentum_norm is not None:
                    own["momentum_norm"] = momentum_norm
        for own, (gradient, _) in zip(scalars, raw, strict=True):
            own["keep"] = keep
            if self.skip_zero_gradient:
                own["keep"] = tf.logical_or(keep, tf.reduce_all(tf.equal(gradient, 0)))
        sums = self._next_gradient_sums()
        iterations = super()._internal_apply_gradients(
            [((gradient, own), v) for (gradient, v), own in zip(pairs, scalars, strict=True)]
        )
        for variable, value in sums:
            variable.assign(tf.where(keep, variable, value))
        self.iterations.assign_sub(tf.cast(keep, tf.int64))
        self.skipped_steps.assign_add(tf.cast(tf.logical_not(tf.logical_or(blocked, finite)), tf.int64))
        return iterations

    def update_step(self, gradient: tuple[tf.Tensor, dict[str, tf.Tensor]], variable: tf.Variable) -> None:
        """One variable's update. gradient: the dense gradient and the scalars that the first pass found."""
        gradient, scalars = gradient
        index = self._index_of(variable)
        momentum, offset = self._momentums[index], self._offsets[index]
        keep = scalars["keep"]
        coefficients = update.Coefficients(*(scalars[field] for field in ("learning_rate", "beta", "next_transport")))
        compiled = compiled_by_xla()
        norm = norms.norm if compiled else norms.kernel_norm
        slots = self._scalar_slots(index)

        def ratio(next_momentum: tf.Tensor) -> tf.Tensor | None:
            if not self._is_normalized(variable):
                return None
            if "ratio" in scalars:
                return scalars["ratio"]
            momentum_norm = scalars["momentum_norm"] if "momentum_norm" in scalars else norm(next_momentum)
            return update.norm_ratio(namespace, self._floored(self._weight_norm(variable, norm)), momentum_norm)

        # The one place where the form is chosen: in-place kernels where they are faster, else the formulas themselves.
        if not compiled and self.adaptive is None and not self._mesh and kernels.fit(variable, momentum, self.beta):
            normalizes = self._is_normalized(variable)
            kernels.step(
                variable,
                momentum,
                offset,
                slots.get("weight_norm"),
                gradient,
                coefficients,
                keep,
                normalizes=normalizes,
                weight_norm=self._floored(self._weight_norm(variable, norm)) if normalizes else None,
                ratio=scalars.get("ratio") if normalizes else None,
            )
            return
        x, old_momentum = tf.convert_to_tensor(variable), tf.cast(tf.convert_to_tensor(momentum), variable.dtype)
        next_x, next_momentum, next_offset = update.step(
            x, old_momentum, tf.convert_to_tensor(offset), gradient, coefficients, ratio
        )
        # XLA has no branch that costs nothing, so what is kept is kept by value.
        next_x = tf.where(keep, x, next_x)
        variable.assign(next_x)
        momentum.assign(tf.cast(tf.where(keep, old_momentum, next_momentum), momentum.dtype))
        offset.assign(tf.where(keep, offset, next_offset))
        for name, slot in slots.items():
            value = norm(next_x) if name == "weight_norm" else scalars[name]
            slot.assign(tf.where(keep, slot, value))

    def _coefficients(self, pairs: Pairs) -> list[dict[str, tf.Tensor]]:
        """The fields of update.Coefficients for each variable, and what the released rule adds."""
        if self.adaptive == "released":
            return [self._released_coefficients(*pair) for pair in pairs]
        known: dict[tuple[tf.DType, bool], dict[str, tf.Tensor]] = {}
        result = []
        for _, variable in pairs:
            kind = variable.dtype, self._is_excluded(variable)
            if kind not in known:
                known[kind] = self._common_coefficients(*kind)
            result.append(dict(known[kind]))
        return result

    def _common_coefficients(self, dtype: tf.DType, excluded: bool) -> dict[str, tf.Tensor]:
        rate = tf.cast(tf.convert_to_tensor(self.learning_rate), dtype)
        if excluded:
            rate *= self.excluded_learning_rate_multiplier
        if self._rule:
            t = tf.cast(self.iterations, tf.float64) + 1
            rate *= tf.cast(self._rule.rate(t, self._gradient_sum), dtype)
            beta = tf.cast(self._rule.beta(namespace, t, self._previous_gradient_sum), dtype)
            next_beta = tf.cast(self._rule.beta(namespace, t + 1, self._gradient_sum), dtype)
        else:
            beta, next_beta = (self._beta_at(self.iterations + later, dtype) for later in (0, 1))
        return {"learning_rate": rate, "beta": beta, "next_transport": self._transport(next_beta)}

    def _released_coefficients(self, gradient: tf.Tensor, variable: tf.Variable) -> dict[str, tf.Tensor]:
        index, dtype = self._index_of(variable), variable.dtype
        size = norms.norm(gradient)
        sums = {
            "norm_sum": self._norm_sums[index] + size,
            "largest_norm": tf.maximum(tf.convert_to_tensor(self._largest_norms[index]), size),
        }
        own = tf.cast(tf.convert_to_tensor(self.learning_rate), tf.float64)
        # η_t and β_t are those of the released learning rate, that of an excluded variable.
        released = own * self.excluded_learning_rate_multiplier
        t, norm_sum, largest = (tf.cast(value, tf.float64) for value in (self.iterations + 1, *sums.values()))
        factor, beta = (tf.cast(value, dtype) for value in adaptive.released(namespace, t, norm_sum, largest, released))
        beta = tf.minimum(beta, 1 - np.finfo(dtype.as_numpy_dtype).eps)  # 1 once rounded would make x infinite
        rate = tf.cast(released if self._is_excluded(variable) else own, dtype) * factor
        # As released, x is extrapolated by the β of the step just taken.
        return {"learning_rate": rate, "beta": beta, "next_transport": self._transport(beta)} | sums

    def _momentum_norms(self, pairs: Pairs, scalars: list[dict[str, tf.Tensor]]) -> list[tf.Tensor | None]:
        """‖m‖ of the step to be taken, where it is needed before the first variable changes; else None."""
        compiled = compiled_by_xla()
        norm = norms.norm if compiled else norms.kernel_norm
        result: list[tf.Tensor | None] = []
        for (gradient, variable), own in zip(pairs, scalars, strict=True):
            needed = self._is_normalized(variable) and (compiled or self.normalization == "global")
            if not needed:
                result.append(None)
                continue
            momentum = tf.convert_to_tensor(self._momentums[self._index_of(variable)])
            momentum = tf.cast(momentum, variable.dtype)
            result.append(norm(update.averaged(momentum, gradient, own["beta"])))
        return result

    def _all_finite(self, pairs: Pairs, momentum_norms: list[tf.Tensor | None]) -> tf.Tensor:
        """Whether no gradient has a NaN or Inf; compiled, read off the norms, which costs no pass of its own."""
        if not compiled_by_xla():
            finite = norms.all_finite([gradient for gradient, _ in pairs])
        else:
            finite = tf.reduce_all(
                [
                    tf.reduce_all(tf.math.is_finite(gradient if momentum_norm is None else momentum_norm))
                    for (gradient, _), momentum_norm in zip(pairs, momentum_norms, strict=True)
                ]
            )
        if self._squared_distance is not None:
            finite = tf.logical_and(finite, tf.math.is_finite(self._squared_distance))
        return finite

    def _global_ratio(self, pairs: Pairs, momentum_norms: list[tf.Tensor | None]) -> tf.Tensor:
        """‖x‖/‖m‖ or 1/‖m‖ over all normalized variables together (Algorithm 1)."""
        own = [(v, n) for (_, v), n in zip(pairs, momentum_norms, strict=True) if n is not None]
        if not own:
            return tf.constant(1.0)
        dtype = max((n.dtype for _, n in own), key=lambda dtype: dtype.size)
        weight_norm = None
        if self.scale_by_weight_norm:
            weight_norm = self._floored(
                norms.of_all([tf.cast(self._weight_norm(v, norms.norm), dtype) for v, _ in own])
            )
        return update.norm_ratio(namespace, weight_norm, norms.of_all([tf.cast(n, dtype) for _, n in own]))

    def _next_gradient_sums(self) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Algorithm 2's G_t and G_{t−1}, and what they are after the step."""
        if not self._rule:
            return []
        t, now = tf.cast(self.iterations, tf.float64) + 1, tf.convert_to_tensor(self._gradient_sum)
        following = self._rule.next_sum(t, now, tf.cast(self._squared_distance, tf.float64))
        return [(self._gradient_sum, following), (self._previous_gradient_sum, now)]

    def _weight_norm(self, variable: tf.Variable, norm: Any) -> tf.Tensor | None:
        """‖x‖ as it was computed while x was written, or from x where a constraint has changed it since."""
        if not self.scale_by_weight_norm:
            return None
        if variable.constraint is not None:
            return norm(tf.convert_to_tensor(variable))
        return tf.convert_to_tensor(self._weight_norms[str(self._index_of(variable))])

    def _floored(self, size: tf.Tensor | None) -> tf.Tensor | None:
        if size is None or not self.weight_norm_floor:
            return size
        return tf.maximum(size, tf.constant(self.weight_norm_floor, size.dtype))

    def _decayed(self, gradient: tf.Tensor, variable: tf.Variable) -> tf.Tensor:
        if not self.weight_decay or self._undecayed[self._index_of(variable)]:
            return gradient
        return gradient + self.weight_decay * tf.convert_to_tensor(variable)

    def _beta_at(self, step: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        # tf.cast would round a Python number to float32 on the way to float64.
        return tf.cast(self.beta(step), dtype) if callable(self.beta) else tf.constant(self.beta, dtype)

    def _transport(self, beta: tf.Tensor) -> tf.Tensor:
        """β/(1−β), from β as rounded to its dtype: the factor must fit the average that m really is."""
        return beta / (1 - beta) if self.implicit_gradient_transport else tf.zeros_like(beta)

    def _is_excluded(self, variable: tf.Variable) -> bool:
        index = self._index_of(variable)
        return names.matches(self._normalization_exclusions, [variable])[0] if index is None else self._excluded[index]

    def _is_normalized(self, variable: tf.Variable) -> bool:
        return self.normalization != "none" and not self._is_excluded(variable)

    def _scalar_slots(self, index: int) -> dict[str, tf.Variable]:
        slots = {"weight_norm": self._weight_norms[str(index)]} if str(index) in self._weight_norms else {}
        if self.adaptive == "released":
            slots |= {"norm_sum": self._norm_sums[index], "largest_norm": self._largest_norms[index]}
        return slots
