"""The step of nigt/update.py by TensorFlow's own in-place kernels: for CPUs and GPUs without XLA.

With m' = β·m + (1−β)·g the step x' = x + offset·m − (s + offset')·m' needs the old and the new m, and no kernel takes
both. The old m is (m' − (1−β)·g)/β, so

    x' = x − (offset·(1−β)/β)·g − (s + offset' − offset/β)·m'.

One kernel writes m' and the term in g (AddSign without its sign), one the term in m'. Nothing is allocated, and at a
constant scale the last term is 0 up to rounding: x then follows plain SGD.

The step is one tf.function over resource handles, traced once for variables of every shape: a model of hundreds of
variables is traced in seconds.
"""

import functools
from typing import Any

import tensorflow as tf

from nigt import update
from nigt.tf_keras import namespace, norms


def fit(x: tf.Variable, momentum: tf.Variable, beta: object) -> bool:
    """Whether `step` can serve: a plain variable, m of its dtype, and a β that is a number (and not 0)."""
    plain = hasattr(x, "handle") and x.dtype == momentum.dtype and x.dtype in (tf.float32, tf.float64)
    return plain and isinstance(beta, float) and beta > 0


def step(
    x: tf.Variable,
    momentum: tf.Variable,
    offset: tf.Variable,
    weight_norm_slot: tf.Variable | None,
    gradient: tf.Tensor,
    coefficients: update.Coefficients,
    keep: tf.Tensor,
    *,
    normalizes: bool,
    weight_norm: tf.Tensor | None = None,
    ratio: tf.Tensor | None = None,
) -> None:
    """As update.step, in place; and ‖x‖ goes to weight_norm_slot, if there is one.

    Args:
      keep: If true, nothing changes.
      normalizes: False: s = η.
      weight_norm: ‖x‖ in s = η‖x‖/‖m‖; None: s = η/‖m‖.
      ratio: Instead of that, s = η·ratio.
    """
    one = tf.ones((), x.dtype)
    run = _stepper(x.dtype, "given" if ratio is not None else "own" if normalizes else "none", weight_norm is not None)
    run(
        x.handle,
        momentum.handle,
        offset.handle,
        gradient,
        coefficients.learning_rate,
        coefficients.beta,
        coefficients.next_transport,
        one if weight_norm is None else weight_norm,
        one if ratio is None else ratio,
        keep,
    )
    if weight_norm_slot is not None:
        weight_norm_slot.assign(tf.where(keep, weight_norm_slot, norms.kernel_norm(tf.convert_to_tensor(x))))


@functools.cache
def _stepper(dtype: tf.DType, kind: str, scales_by_weight_norm: bool) -> Any:
    """The compiled step; kind: what s is made of, "none", "own" norms or a "given" ratio."""
    handle, scalar = tf.TensorSpec(None, tf.resource), tf.TensorSpec((), dtype)

    @tf.function(
        input_signature=[*[handle] * 3, tf.TensorSpec(None, dtype), *[scalar] * 5, tf.TensorSpec((), tf.bool)],
        experimental_attributes={"_noinline": True},
    )
    def run(
        x: tf.Tensor,
        momentum: tf.Tensor,
        offset: tf.Tensor,
        gradient: tf.Tensor,
        learning_rate: tf.Tensor,
        beta: tf.Tensor,
        next_transport: tf.Tensor,
        weight_norm: tf.Tensor,
        ratio: tf.Tensor,
        keep: tf.Tensor,
    ) -> tf.Tensor:
        def take() -> tf.Tensor:
            # The scalars in float64: the coefficient of m' is a small difference of large ones.
            exact_beta = tf.cast(beta, tf.float64)
            old_offset = tf.cast(tf.raw_ops.ReadVariableOp(resource=offset, dtype=dtype), tf.float64)
            # x ← x − lr·(1 + 0·sign(g)·sign(m))·g and m ← β·m + (1−β)·g
            tf.raw_ops.ResourceApplyAddSign(
                var=x,
                m=momentum,
                lr=tf.cast(old_offset * (1 - exact_beta) / exact_beta, dtype),
                alpha=tf.ones((), dtype),
                sign_decay=tf.zeros((), dtype),
                beta=beta,
                grad=gradient,
            )
            next_momentum = tf.raw_ops.ReadVariableOp(resource=momentum, dtype=dtype)
            scale = learning_rate
            if kind == "own":
                momentum_norm = norms.kernel_norm(next_momentum)
                scale *= update.norm_ratio(namespace, weight_norm if scales_by_weight_norm else None, momentum_norm)
            elif kind == "given":
                scale *= ratio
            next_offset = next_transport * scale
            rest = tf.cast(scale, tf.float64) + tf.cast(next_offset, tf.float64) - old_offset / exact_beta
            tf.raw_ops.ResourceApplyGradientDescent(var=x, alpha=tf.cast(rest, dtype), delta=next_momentum)
            tf.raw_ops.AssignVariableOp(resource=offset, value=next_offset)
            return tf.constant(True)

        return tf.cond(keep, lambda: tf.constant(False), take)

    return run
