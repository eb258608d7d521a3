"""NIGT as an optax gradient transformation."""

import optax

from nigt import arguments, betas
from nigt.adaptive import PRINTED_CONSTANT, Algorithm2
from nigt.optax.state import Mask
from nigt.optax.stepping import Stepping


def nigt(
    learning_rate: optax.ScalarOrSchedule,
    beta: betas.Beta = 0.9,
    normalization: str = "layer",
    scale_by_weight_norm: bool = True,
    implicit_gradient_transport: bool = True,
    normalization_mask: Mask = None,
    excluded_learning_rate_multiplier: float = 1000.0,
    weight_decay: float = 0.0,
    weight_decay_mask: Mask = None,
    weight_norm_floor: float = 0.0,
    skip_zero_gradient: bool = False,
    adaptive: str | None = None,
    gradient_bound: float | None = None,
    adaptive_constant: float = PRINTED_CONSTANT,
) -> optax.GradientTransformationExtraArgs:
    """Normalized SGD with implicit gradient transport (Cutkosky & Mehta 2020, Algorithm 1 and section 5).

    The parameters are the gradient points x. The iterates w, to be evaluated and kept, are eval_params(state, params).
    A gradient with a NaN or Inf anywhere leaves parameters and state as they were, and counts in `skipped_steps`.
    Works under jit, scan and vmap, and on sharded arrays, whose norms are of the whole array. What comes after it in a
    chain must not change the updates: w would be wrong.

    Args:
      learning_rate: The paper's η0, or a schedule; with Algorithm 2 a factor on the paper's η_t, 1 as printed.
      beta: The paper's β in [0, 1), or a function of the step, from 0 (nigt.betas). Set by inject_hyperparams, x is
        extrapolated by the β of the step just taken; set to 0 in mid-run, it takes x for w once.
      normalization: "layer" (section 5), "global" (Algorithm 1), or "none".
      scale_by_weight_norm: True: the step is η‖x‖·m/‖m‖ (section 5.1); False: η·m/‖m‖ (Algorithm 1).
      implicit_gradient_transport: False takes the gradient at w (equations 2 and 3).
      normalization_mask: True for what is normalized; None: section 5's rule, more_than_one_dimension. With
        inject_hyperparams a function must be named in its static_args, as every mask of optax.
      excluded_learning_rate_multiplier: What is not normalized learns at this factor times η (section 5.1: 1000).
      weight_decay: λ of a coupled decay, λ·x added to the gradient before the momentum, as released.
      weight_decay_mask: True for what decays; None: as normalization_mask's None.
      weight_norm_floor: ‖x‖ counts as at least this much, so that weights that start at 0 can leave it.
      skip_zero_gradient: True leaves a parameter whose whole gradient is zero as it is.
      adaptive: None, or "algorithm2": η_t and β_t of two gradients; `update(…, second_gradients=…)` takes the second.
      gradient_bound: With Algorithm 2 the paper's g.
      adaptive_constant: 26 as printed in Algorithm 2; 52 as its proof needs.

    Returns:
      The transformation. Its `init` raises ValueError for parameters of 16 bits; its `update` needs params.

    Raises:
      ValueError: If an argument is out of its range; the message names it.
    """
    arguments.check({"normalization": normalization, "adaptive": adaptive}, gradient_bound, adaptive_constant)
    arguments.check_not_negative(
        {
            "excluded_learning_rate_multiplier": excluded_learning_rate_multiplier,
            "weight_decay": weight_decay,
            "weight_norm_floor": weight_norm_floor,
        }
    )
    if isinstance(beta, (int, float)):
        betas.check(beta)
    if normalization != "none" and scale_by_weight_norm and implicit_gradient_transport and not adaptive:
        arguments.warn_of_growing_weights(learning_rate, beta)
    own = Stepping(
        learning_rate,
        beta,
        normalization,
        scale_by_weight_norm,
        implicit_gradient_transport,
        normalization_mask,
        excluded_learning_rate_multiplier,
        weight_decay,
        weight_decay_mask,
        weight_norm_floor,
        skip_zero_gradient,
        None if gradient_bound is None else Algorithm2(gradient_bound, adaptive_constant),
    )
    return optax.GradientTransformationExtraArgs(own.start, own.step)
