"""NIGT as a tf_keras optimizer: Algorithm 1 of the paper in the per-layer form of its section 5."""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from nigt import update

NORMALIZATIONS = ("layer", "global", "none")
MOMENTUM_DTYPES = ("float32", "bfloat16")


@tf_keras.saving.register_keras_serializable(package="nigt")
class NIGT(tf_keras.optimizers.Optimizer):
    """Normalized SGD with implicit gradient transport (Cutkosky & Mehta 2020, Algorithm 1 and section 5).

    The model's variables hold the gradient points x, where training takes its gradients. What the theory bounds and
    what the authors report is the iterate w: evaluate and export inside `evaluating`, or ask for `iterates`.

    ```python
    optimizer = NIGT(1e-3)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))   # gradients at x
    with optimizer.evaluating(model.trainable_variables):                  # the model holds w
        model.evaluate(...)
    ```

    With a learning rate of 1e-3 × the released one, a step equals that of the authors' released optimizer. State: one
    slot (the momentum m) and one scalar per variable.

    Args:
      learning_rate: The paper's η0; a float, a LearningRateSchedule or a callable.
      beta: The paper's β in [0, 1), or a callable that takes the step (int64 tensor, from 0) and returns β.
      normalization: "layer": by each variable's own ‖m‖, as in section 5; "global": by that of all of them together
        (Algorithm 1), the excluded ones apart; "none": no division.
      scale_by_weight_norm: True: the step is η‖x‖·m/‖m‖ (section 5.1, as released); False: η·m/‖m‖ (Algorithm 1).
      implicit_gradient_transport: False takes the gradient at w: normalized SGD with momentum (equations 2 and 3).
      exclude_from_normalization: Regular expressions, `re.search`ed in the variable's name. The default covers biases,
        batch-norm and layer-norm parameters of tf-models-official and Keras (section 5.1).
      excluded_learning_rate_multiplier: Their learning rate is this factor times η (section 5.1: 1000).
      weight_decay: λ of a coupled decay, λ·x added to the gradient before the momentum, as released.
      exclude_from_weight_decay: Regular expressions, as above.
      skip_zero_gradient: True leaves a variable whose whole gradient is zero as it is; False moves it on along m, as
        Algorithm 1 says and the released optimizer does.
      momentum_dtype: "bfloat16" halves the slot: m is stored rounded and stepped with unrounded.
      name: The optimizer's name.
      **kwargs: What every tf_keras optimizer takes (clipnorm, clipvalue, global_clipnorm, …).

    Raises:
      ValueError: If beta is a number outside [0, 1), a number is negative, or normalization is unknown.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta: float | Callable[[tf.Tensor], tf.Tensor] = 0.9,
        normalization: str = "layer",
        scale_by_weight_norm: bool = True,
        implicit_gradient_transport: bool = True,
        exclude_from_normalization: Sequence[str] = (r"bias", r"beta", r"gamma"),
        excluded_learning_rate_multiplier: float = 1000.0,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] = (r"bias", r"beta", r"gamma"),
        skip_zero_gradient: bool = False,
        momentum_dtype: str = "float32",
        name: str = "NIGT",
        **kwargs: Any,
    ):
        if not callable(beta) and not 0 <= beta < 1:
            raise ValueError(
                f"beta must be in [0, 1), got {beta}: x = w + beta/(1 - beta)·(w - previous w) needs beta < 1"
            )
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization must be one of {NORMALIZATIONS}, got {normalization!r}")
        if momentum_dtype not in MOMENTUM_DTYPES:
            raise ValueError(f"momentum_dtype must be one of {MOMENTUM_DTYPES}, got {momentum_dtype!r}")
        if excluded_learning_rate_multiplier < 0 or weight_decay < 0:
            raise ValueError(
                "excluded_learning_rate_multiplier and weight_decay must not be negative, got "
                f"{excluded_learning_rate_multiplier} and {weight_decay}"
            )
        # The base class would decay the weights a second time, decoupled: it is told of none.
        super().__init__(name=name, weight_decay=None, **kwargs)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta = beta
        self.normalization = normalization
        self.scale_by_weight_norm = scale_by_weight_norm
        self.implicit_gradient_transport = implicit_gradient_transport
        self.excluded_learning_rate_multiplier = excluded_learning_rate_multiplier
        self.skip_zero_gradient = skip_zero_gradient
        self.momentum_dtype = momentum_dtype
        self._coupled_weight_decay = weight_decay
        self._normalization_exclusions = tuple(exclude_from_normalization)
        self._weight_decay_exclusions = tuple(exclude_from_weight_decay)
        self._inside_evaluating = False
        # Not tracked: a checkpoint that is written inside `evaluating` must not carry the guard into the next run.
        with tf.init_scope():
            self.__dict__["_blocked"] = tf.Variable(False, trainable=False, name="evaluating")
            self.__dict__["_refused_steps"] = tf.Variable(0, dtype=tf.int64, trainable=False, name="refused_steps")

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Creates m (zeros) and the offset (0) for each variable of var_list."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._momentums = [self._add_momentum(v) for v in var_list]
        self._offsets = [self.add_variable_from_reference(v, "offset", shape=()) for v in var_list]
        self._built = True

    def apply_gradients(self, grads_and_vars: Any, name: str | None = None, **kwargs: Any) -> Any:
        """One step. The gradients are those at the variables' present values, x.

        Raises:
          RuntimeError: Inside `evaluating`, where the variables hold w (in a traced function:
            tf.errors.InvalidArgumentError; compiled by XLA nothing changes and `evaluating` raises on leaving).
        """
        message = "NIGT: a step inside `evaluating`, where the variables hold w; leave it before training on"
        if tf.executing_eagerly():
            if self._inside_evaluating:
                raise RuntimeError(message)
            return super().apply_gradients(grads_and_vars, name=name, **kwargs)
        with tf.control_dependencies([tf.debugging.Assert(tf.logical_not(self._blocked), [message])]):
            # Reached inside `evaluating` only where XLA has dropped the assertion.
            refused = tf.cast(self._blocked, tf.int64)
            self._refused_steps.assign_add(refused)
            super().apply_gradients(grads_and_vars, name=name, **kwargs)
            return self.iterations.assign_sub(refused)

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """One variable's step; see nigt/update.py. gradient: dense, IndexedSlices, or (gradient, the global ratio)."""
        gradient, ratio = gradient if isinstance(gradient, tuple) else (gradient, None)
        index = self._index_dict[self._var_key(variable)]
        momentum, offset = self._momentums[index], self._offsets[index]
        x, gradient = tf.convert_to_tensor(variable), tf.convert_to_tensor(gradient)
        next_x, next_momentum, next_offset = update.step(
            x,
            tf.cast(momentum, x.dtype),
            tf.convert_to_tensor(offset),
            gradient,
            self._coefficients(variable),
            normalize=self._is_normalized(variable),
            scale_by_weight_norm=self.scale_by_weight_norm,
            ratio=ratio,
        )
        # XLA drops assertions, so the refusal inside `evaluating` is also in the values.
        keep = tf.convert_to_tensor(self._blocked)
        if self.skip_zero_gradient:
            keep = tf.logical_or(keep, tf.reduce_all(tf.equal(gradient, 0)))
        variable.assign(tf.where(keep, x, next_x))
        momentum.assign(tf.where(keep, momentum, tf.cast(next_momentum, momentum.dtype)))
        offset.assign(tf.where(keep, offset, next_offset))

    def _internal_apply_gradients(self, grads_and_vars: Any) -> Any:
        """Hands each variable the ratio over all of them, where that is what is asked for."""
        if self.normalization == "global":
            pairs = [(tf.convert_to_tensor(g), v) for g, v in grads_and_vars]
            ratio = self._global_ratio([pair for pair in pairs if self._is_normalized(pair[1])])
            grads_and_vars = [((g, tf.cast(ratio, v.dtype)), v) for g, v in pairs]
        return super()._internal_apply_gradients(grads_and_vars)

    def _global_ratio(self, pairs: Sequence[tuple[tf.Tensor, tf.Variable]]) -> tf.Tensor:
        """‖x‖/‖m‖ or 1/‖m‖ over all normalized variables, m being that of the step to be taken."""
        if not pairs:
            return tf.constant(1.0)
        momentum_norms, weight_norms = [], []
        for gradient, variable in pairs:
            x = tf.convert_to_tensor(variable)
            momentum = tf.cast(self._momentums[self._index_dict[self._var_key(variable)]], x.dtype)
            momentum = update.averaged(x, momentum, gradient, self._coefficients(variable))
            momentum_norms.append(tf.cast(update.norm(momentum), pairs[0][1].dtype))
            weight_norms.append(tf.cast(update.norm(x), pairs[0][1].dtype))
        norms = (update.norm(tf.stack(weight_norms)), update.norm(tf.stack(momentum_norms)))
        return update.norm_ratio(*norms, self.scale_by_weight_norm)

    def _coefficients(self, variable: tf.Variable) -> update.Coefficients:
        multiplier = 1.0 if self._uses_plain_learning_rate(variable) else self.excluded_learning_rate_multiplier
        decays = not _matches(self._weight_decay_exclusions, variable)
        return update.Coefficients(
            learning_rate=tf.cast(self.learning_rate, variable.dtype) * multiplier,
            beta=self._beta_at(self.iterations, variable.dtype),
            next_transport=self._transport_at(self.iterations + 1, variable.dtype),
            weight_decay=self._coupled_weight_decay if decays else 0.0,
        )

    def _add_momentum(self, variable: tf.Variable) -> tf.Variable:
        if self.momentum_dtype == "float32":
            return self.add_variable_from_reference(variable, "momentum")
        name = f"momentum/{variable.name.split(':')[0]}"
        return self.add_variable(variable.shape, tf.as_dtype(self.momentum_dtype), "zeros", name)

    def iterates(self, variables: Sequence[tf.Variable]) -> list[tf.Tensor]:
        """The iterate w of each variable, in order and shape. Changes nothing.

        Variables that the optimizer does not know (not trained, or before the first step) are their own iterates.
        """
        built = getattr(self, "_built", False)
        result = []
        for variable in variables:
            index = self._index_dict.get(self._var_key(variable)) if built else None
            value = tf.convert_to_tensor(variable)
            if index is not None:
                momentum = tf.cast(self._momentums[index], value.dtype)
                value = update.iterate(value, momentum, tf.convert_to_tensor(self._offsets[index]))
            result.append(value)
        return result

    @contextlib.contextmanager
    def evaluating(self, variables: Sequence[tf.Variable]) -> Iterator[None]:
        """Inside, the variables hold w; on leaving, exactly (bit for bit) the x that they held before.

        Raises:
          RuntimeError: If entered twice, or on leaving if a step compiled by XLA was refused inside.
        """
        if self._inside_evaluating:
            raise RuntimeError("NIGT: `evaluating` is entered already")
        variables = list(variables)
        gradient_points = [tf.identity(v) for v in variables]
        for variable, iterate in zip(variables, self.iterates(variables), strict=True):
            variable.assign(iterate)
        self._inside_evaluating = True
        self._blocked.assign(True)
        self._refused_steps.assign(0)
        try:
            yield
        finally:
            self._inside_evaluating = False
            self._blocked.assign(False)
            for variable, point in zip(variables, gradient_points, strict=True):
                variable.assign(point)
        refused = int(self._refused_steps.numpy())
        if refused:
            raise RuntimeError(f"NIGT: {refused} step(s) inside `evaluating` were refused and changed nothing")

    def reset(self, variables: Sequence[tf.Variable]) -> None:
        """Forgets m, so that w = x: call it after variables were changed from outside (load_weights, assign).

        Raises:
          ValueError: If a variable is not one that this optimizer was built for.
        """
        for variable in variables:
            key = self._var_key(variable)
            if not getattr(self, "_built", False) or key not in self._index_dict:
                raise ValueError(f"NIGT has no state for {variable.name}: nothing to reset")
            index = self._index_dict[key]
            self._momentums[index].assign(tf.zeros_like(self._momentums[index]))
            self._offsets[index].assign(tf.zeros_like(self._offsets[index]))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, serializable unless beta is a callable."""
        config = super().get_config()
        config.update(
            learning_rate=self._serialize_hyperparameter(self._learning_rate),
            beta=self.beta,
            normalization=self.normalization,
            scale_by_weight_norm=self.scale_by_weight_norm,
            implicit_gradient_transport=self.implicit_gradient_transport,
            exclude_from_normalization=list(self._normalization_exclusions),
            excluded_learning_rate_multiplier=self.excluded_learning_rate_multiplier,
            weight_decay=self._coupled_weight_decay,
            exclude_from_weight_decay=list(self._weight_decay_exclusions),
            skip_zero_gradient=self.skip_zero_gradient,
            momentum_dtype=self.momentum_dtype,
        )
        return config

    def _beta_at(self, step: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        # tf.cast would round a Python number to float32 on the way to float64.
        return tf.cast(self.beta(step), dtype) if callable(self.beta) else tf.constant(self.beta, dtype)

    def _transport_at(self, step: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """β/(1−β) of a step, from β as rounded to dtype: the factor must fit the average that m really is."""
        if not self.implicit_gradient_transport:
            return tf.zeros((), dtype)
        beta = self._beta_at(step, dtype)
        return beta / (1 - beta)

    def _uses_plain_learning_rate(self, variable: tf.Variable) -> bool:
        return not _matches(self._normalization_exclusions, variable)

    def _is_normalized(self, variable: tf.Variable) -> bool:
        return self.normalization != "none" and self._uses_plain_learning_rate(variable)


def _matches(patterns: Sequence[str], variable: tf.Variable) -> bool:
    return any(re.search(pattern, variable.name) for pattern in patterns)
