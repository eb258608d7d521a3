"""NIGT as an optimizer of Keras 3: Algorithm 1 of the paper in the per-layer form of section 5, and its relatives."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from nigt import arguments, betas, names
from nigt.adaptive import PRINTED_CONSTANT
from nigt.keras.stepping import Stepping

_CHOICES = arguments.CHOICES | {"adaptive": (None, "released")}
for _beta in (betas.Arnold, betas.StartingAtFirstGradient):
    keras.saving.register_keras_serializable(package="nigt")(_beta)


@keras.saving.register_keras_serializable(package="nigt")
class NIGT(Stepping):
    """Normalized SGD with implicit gradient transport (Cutkosky & Mehta 2020, Algorithm 1 and section 5).

    The model's variables hold the gradient points x, where training takes its gradients. What the theory bounds is the
    iterate w: between `eval()` and `train()`, or inside `evaluating()`, they hold w; nigt.keras.EvaluateAtIterate does
    it in `fit`.

    ```python
    model.compile(NIGT(1e-3), loss)
    model.fit(x, y, validation_data=held_out, callbacks=[EvaluateAtIterate()])
    with model.optimizer.evaluating():  # the variables are w; on leaving x again, bit for bit
        model.save("model.keras")
    ```

    State: one variable (m) and one number a variable (nigt/update.py). A gradient with a NaN or Inf anywhere leaves
    variables and state as they were, and counts in the variable `skipped_steps`. In a loop around `stateless_apply` the
    iterates are `stateless_iterates(optimizer_variables, trainable_variables)`.

    Args:
      learning_rate: The paper's η0; a float, a LearningRateSchedule, or a callable without arguments.
      beta: The paper's β in [0, 1), or a callable that takes the step (an integer scalar, from 0) and returns β; see
        nigt.betas. The released rule sets β itself and does not read it.
      normalization: "layer" (section 5), "global" (Algorithm 1, over all variables but the excluded), or "none".
      scale_by_weight_norm: True: the step is η‖x‖·m/‖m‖ (section 5.1); False: η·m/‖m‖ (Algorithm 1).
      implicit_gradient_transport: False takes the gradient at w (equations 2 and 3).
      exclude_from_normalization: Regular expressions, `re.search`ed in the variable's own name ("kernel" of
        "beta_vae/debias/kernel"). The default covers biases, batch norm and layer norm (section 5.1). Warns, when the
        state is created, of a kernel that is matched and of a pattern that fits only names of layers.
      excluded_learning_rate_multiplier: What is not normalized learns at this factor times η (section 5.1: 1000).
      weight_decay: λ of a coupled decay, λ·x added to the gradient before the momentum, as released.
      exclude_from_weight_decay: Regular expressions, as above.
      weight_norm_floor: ‖x‖ counts as at least this much, so that weights that start at 0 can leave it.
      skip_zero_gradient: True leaves a variable whose whole gradient is zero as it is.
      adaptive: None; or "released": the rule of the released code, per variable, from one gradient.
      name: The optimizer's name.
      **kwargs: What every optimizer of Keras takes (gradient_accumulation_steps, clipnorm, …). Clipping rescales
        normalized steps.

    Raises:
      ValueError: If an argument is out of its range (the message names it); in `build`, if a variable is of 16 bits.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta: betas.Beta = 0.9,
        normalization: str = "layer",
        scale_by_weight_norm: bool = True,
        implicit_gradient_transport: bool = True,
        exclude_from_normalization: Sequence[str] = names.BIASES_AND_NORMS,
        excluded_learning_rate_multiplier: float = 1000.0,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] = names.BIASES_AND_NORMS,
        weight_norm_floor: float = 0.0,
        skip_zero_gradient: bool = False,
        adaptive: str | None = None,
        name: str = "nigt",
        **kwargs: Any,
    ):
        if not callable(beta):
            betas.check(beta)
            beta = float(beta)
        if adaptive == "algorithm2":
            raise ValueError(
                'adaptive="algorithm2" needs two gradients a step, for which Keras has no place: it is in nigt.torch, '
                "nigt.optax and nigt.tf_keras"
            )
        arguments.check({"normalization": normalization, "adaptive": adaptive}, None, PRINTED_CONSTANT, _CHOICES)
        arguments.check_not_negative(
            {
                "excluded_learning_rate_multiplier": excluded_learning_rate_multiplier,
                "weight_decay": weight_decay,
                "weight_norm_floor": weight_norm_floor,
            }
        )
        arguments.check_keras(
            patterns={
                "exclude_from_normalization": exclude_from_normalization,
                "exclude_from_weight_decay": exclude_from_weight_decay,
            },
            keywords=kwargs,
        )
        super().__init__(learning_rate, weight_decay=weight_decay, name=name, **kwargs)
        self.beta = beta
        self.normalization = normalization
        self.scale_by_weight_norm = scale_by_weight_norm
        self.implicit_gradient_transport = implicit_gradient_transport
        self.excluded_learning_rate_multiplier = excluded_learning_rate_multiplier
        self.weight_norm_floor = weight_norm_floor
        self.skip_zero_gradient = skip_zero_gradient
        self.adaptive = adaptive
        self._normalization_exclusions = tuple(exclude_from_normalization)
        self._weight_decay_exclusions = tuple(exclude_from_weight_decay)
        first = {"shape": (), "aggregation": "only_first_replica"}
        self.skipped_steps = self.add_variable(dtype="int32", name="skipped_steps", **first)
        self._at_iterates = self.add_variable(dtype="bool", name="at_iterates", **first)
        self._is_pure = False
        self.__dict__.update(_momenta=[], _offsets=[], _norm_sums=[], _points=[], _iterates=[], _skipped_before=0)
        if normalization != "none" and scale_by_weight_norm and implicit_gradient_transport and not adaptive:
            arguments.warn_of_growing_weights(_largest(learning_rate), beta)

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the state of each variable: m (0) and the offset of w (0).

        Raises:
          ValueError: If a variable is neither float32 nor float64.
        """
        if self.built:
            return
        for variable in variables:
            dtype = keras.backend.standardize_dtype(variable.dtype)
            if dtype not in ("float32", "float64") and not self._overwrite_variable_with_gradient(variable):
                raise ValueError(
                    f"NIGT: {names.path_of(variable)} is {dtype}: keep float32 (or float64) variables, and compute in "
                    'bfloat16 with the dtype policy "mixed_bfloat16"'
                )
        super().build(variables)
        self._excluded = names.matches(self._normalization_exclusions, variables)
        self._undecayed = names.matches(self._weight_decay_exclusions, variables)
        names.warn_of_surprises("NIGT: exclude_from_normalization", self._normalization_exclusions, variables)
        if self.weight_decay:
            names.warn_of_surprises("NIGT: exclude_from_weight_decay", self._weight_decay_exclusions, variables)
        self._momenta[:] = self.add_optimizer_variables(variables, "momentum")
        self._offsets[:] = self._scalars(variables, "offset")
        if self.adaptive == "released":
            self._norm_sums[:] = [self._scalars(variables, name) for name in ("norm_sum", "largest_norm")]
        for variable in variables if self.scale_by_weight_norm and not self.weight_norm_floor else []:
            if self._is_normalized(variable) and _is_zero(variable):
                warnings.warn(arguments.zero_weights(names.path_of(variable)), stacklevel=2)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor; a callable beta must be registered as Keras-serializable to be saved."""
        return super().get_config() | {
            "beta": keras.saving.serialize_keras_object(self.beta) if callable(self.beta) else self.beta,
            "normalization": self.normalization,
            "scale_by_weight_norm": self.scale_by_weight_norm,
            "implicit_gradient_transport": self.implicit_gradient_transport,
            "exclude_from_normalization": list(self._normalization_exclusions),
            "excluded_learning_rate_multiplier": self.excluded_learning_rate_multiplier,
            "exclude_from_weight_decay": list(self._weight_decay_exclusions),
            "weight_norm_floor": self.weight_norm_floor,
            "skip_zero_gradient": self.skip_zero_gradient,
            "adaptive": self.adaptive,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "NIGT":
        """The reverse of get_config."""
        if isinstance(config.get("beta"), dict):
            beta = keras.saving.deserialize_keras_object(config["beta"], custom_objects=custom_objects)
            config = config | {"beta": beta}
        return super().from_config(config, custom_objects=custom_objects)

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Not as in Keras: what is left out of the decay is an argument of the constructor.

        Raises:
          NotImplementedError: Always.
        """
        raise NotImplementedError("NIGT takes exclude_from_weight_decay, regular expressions, in its constructor")

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Nothing: the base class would decay the weights a second time, decoupled from the momentum."""

    def _scalars(self, variables: Sequence[Any], name: str) -> list[Any]:
        """A 0 of its dtype for each variable that has an m."""
        return [
            None
            if m is None
            else self.add_variable((), dtype=v.dtype, name=f"{names.path_of(v).replace('/', '_')}_{name}")
            for v, m in zip(variables, self._momenta, strict=True)
        ]


def _is_zero(variable: Any) -> bool:
    """Whether all of it is 0; False where a traced function makes it, and it has no value yet."""
    try:
        return not np.any(keras.ops.convert_to_numpy(variable))
    except (NotImplementedError, TypeError):
        return False


def _largest(learning_rate: Any) -> Any:
    """A schedule's largest rate in steps 0 and powers of 10; anything else as it is."""
    if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        return learning_rate
    return max(float(learning_rate(step)) for step in (0, *(10**power for power in range(7))))
