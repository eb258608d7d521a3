"""One step over all parameters, as a pure function of gradients, state and parameters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nigt import arguments, betas, norms, update
from nigt.adaptive import Algorithm2
from nigt.optax.state import Mask, NigtState, check_parameters, flags


@dataclasses.dataclass(frozen=True)
class Stepping:
    """What `nigt` was asked for (transformation.py), and the two functions of a transformation."""

    learning_rate: optax.ScalarOrSchedule
    beta: betas.Beta
    normalization: str
    scale_by_weight_norm: bool
    implicit_gradient_transport: bool
    normalization_mask: Mask
    excluded_learning_rate_multiplier: Any
    weight_decay: Any
    weight_decay_mask: Mask
    weight_norm_floor: Any
    skip_zero_gradient: bool
    rule: Algorithm2 | None

    def start(self, params: Any) -> NigtState:
        """m = 0 and w = x. Raises ValueError for parameters of 16 bits."""
        check_parameters(params)
        count, skipped = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)  # two buffers: both may be donated
        sums: tuple[jax.Array, ...] = ()
        if self.rule is not None:
            sums = jnp.asarray(self.rule.d, float), jnp.asarray(self.rule.first_sum, float)
        offset = jax.tree.map(lambda p: jnp.zeros((), jnp.asarray(p).dtype), params)
        return NigtState(count, skipped, jax.tree.map(jnp.zeros_like, params), offset, sums)

    def step(
        self, updates: Any, state: NigtState, params: Any = None, *, second_gradients: Any = None, **extra: Any
    ) -> tuple[Any, NigtState]:
        """The steps of x and the next state, from the gradients at x.

        Args:
          updates: The gradients, like params.
          state: The state.
          params: x.
          second_gradients: For Algorithm 2, those of an independent sample at the same x.
          **extra: What other transformations of a chain take.

        Raises:
          ValueError: Without params; or if second_gradients are missing, or not expected.
        """
        del extra
        if params is None:
            raise ValueError("NIGT: update needs params, the gradient points x: update(gradients, state, params)")
        arguments.check_second_gradients("algorithm2" if self.rule else None, second_gradients)
        xs, tree = jax.tree.flatten(params)
        raw, momenta, offsets = map(tree.flatten_up_to, (updates, state.momentum, state.offset))
        decays = flags(self.weight_decay_mask, params)
        gradients = [g + self.weight_decay * x if decay else g for g, x, decay in zip(raw, xs, decays, strict=True)]
        included = flags(self.normalization_mask, params)
        coefficients = self._coefficients(state, xs, included)
        normalized = [self.normalization != "none" and own for own in included]
        finite = [jnp.isfinite(_norm(g)) for g in gradients]
        sums = state.gradient_sums
        if self.rule is not None:
            pairs = zip(raw, tree.flatten_up_to(second_gradients), strict=True)
            distance = sum(jnp.square(_norm(a - b).astype(float)) for a, b in pairs)
            finite.append(jnp.isfinite(distance))
            sums = sums[1], self.rule.next_sum((state.count + 1).astype(float), sums[1], distance)
        keep = jnp.logical_not(jnp.stack([jnp.asarray(True), *finite]).all())

        stays = [keep | jnp.all(g == 0) if self.skip_zero_gradient else keep for g in raw]
        # Behind the barrier m is written over in place; else XLA computes it anew for every use, and copies the old.
        momenta = [
            jax.lax.optimization_barrier(jnp.where(still, m, update.averaged(m, g, own.beta)))
            for still, m, g, own in zip(stays, momenta, gradients, coefficients, strict=True)
        ]
        ratios = self._ratios(xs, [_norm(m) if own else None for m, own in zip(momenta, normalized, strict=True)])
        steps, next_offsets = [], []
        for still, g, m, offset, own, ratio in zip(
            stays, gradients, momenta, offsets, coefficients, ratios, strict=True
        ):
            scale = own.learning_rate if ratio is None else own.learning_rate * ratio
            next_offset = own.next_transport * scale
            beta = jnp.where(own.beta > 0, own.beta, 1)
            a, b = update.from_next_momentum(jnp.where(own.beta > 0, offset, 0), own.beta, scale, next_offset, beta)
            # Where x stays its step is -0.0, which leaves even -0.0 as it is.
            steps.append(jnp.where(still, jnp.full_like(m, -0.0), -a * g - b * m))
            next_offsets.append(jnp.where(still, offset, next_offset))
        steps, momentum, offset = (tree.unflatten(column) for column in (steps, momenta, next_offsets))
        sums = tuple(jnp.where(keep, old, new) for old, new in zip(state.gradient_sums, sums, strict=True))
        return steps, NigtState(state.count + ~keep, state.skipped_steps + keep, momentum, offset, sums)

    def _coefficients(self, state: NigtState, xs: list[Any], included: list[bool]) -> list[update.Coefficients]:
        rate, beta = self.learning_rate, self.beta
        rate = rate(state.count) if callable(rate) else rate
        step = state.count.astype(int)  # int64 where float64 is on, so that what is divided by it is float64
        now, following = (beta(step + late) if callable(beta) else beta for late in (0, 1))
        if self.rule is not None:
            t, (previous_sum, gradient_sum) = (state.count + 1).astype(float), state.gradient_sums
            rate = rate * self.rule.rate(t, gradient_sum)
            now, following = self.rule.beta(jnp, t, previous_sum), self.rule.beta(jnp, t + 1, gradient_sum)
        result = []
        for x, own in zip(xs, included, strict=True):
            factor = 1.0 if own else self.excluded_learning_rate_multiplier
            eta, beta_now, beta_next = (jnp.asarray(value, x.dtype) for value in (rate * factor, now, following))
            transport = beta_next / (1 - beta_next) if self.implicit_gradient_transport else jnp.zeros_like(beta_next)
            result.append(update.Coefficients(eta, beta_now, transport))
        return result

    def _ratios(self, xs: list[Any], sizes: list[Any]) -> list[Any]:
        """update.norm_ratio of each parameter; None where nothing is normalized. sizes: ‖m‖, and None there too."""
        places = [i for i, size in enumerate(sizes) if size is not None]
        groups = [places] if self.normalization == "global" and places else [[i] for i in places]
        ratios: list[Any] = [None] * len(xs)
        for group in groups:
            weight = None
            if self.scale_by_weight_norm:
                weight = jnp.maximum(_together([_norm(xs[i]) for i in group]), self.weight_norm_floor)
            ratio = update.norm_ratio(jnp, weight, _together([sizes[i] for i in group]))
            for i in group:
                ratios[i] = ratio.astype(xs[i].dtype)
        return ratios


def _together(sizes: list[Any]) -> Any:
    """The norm of several arrays together, from the norm of each."""
    return _norm(jnp.stack(sizes)) if len(sizes) > 1 else sizes[0]


def _norm(values: jax.Array) -> jax.Array:
    """norms.norm, which XLA makes far slower than the plain sum of squares: only where that loses range."""
    if values.size == 1:
        return jnp.sum(jnp.abs(values))  # XLA rewrites the formulas of norms.norm to NaN for a single 0
    square = jnp.sum(jnp.square(values))
    low, high = norms.SAFE[square.dtype.name]
    safe = (square > low) & (square < high)
    return jax.lax.cond(safe, jnp.sqrt, lambda _: norms.norm(jnp, values), square)
