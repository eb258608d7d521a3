"""NIGT as a tf_keras optimizer: Algorithm 1 of the paper in the per-layer form of its section 5, and its relatives."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from nigt import arguments, betas, names
from nigt.adaptive import Algorithm2
from nigt.tf_keras import arguments as keras_arguments
from nigt.tf_keras import norms, serial_betas
from nigt.tf_keras.norms import squared_distance
from nigt.tf_keras.stepping import Stepping


@tf_keras.saving.register_keras_serializable(package="nigt")
class NIGT(Stepping):
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
    slot (the momentum m) and two scalars per variable (update.py). A gradient with a NaN or Inf leaves every variable
    and all state as they were, and is counted in the variable `skipped_steps`.

    Variants:
      Section 5.1, per layer and scaled by ‖x‖: the defaults.
      Algorithm 1 as printed (m_1 = g_1): normalization="global", scale_by_weight_norm=False,
        exclude_from_normalization=(), beta=nigt.betas.StartingAtFirstGradient(0.9).
      Normalized SGD with momentum (equations 2 and 3): the same with implicit_gradient_transport=False.
      Implicit gradient transport of Arnold et al. 2019 (section 3: β_t = t/(t+1)): normalization="none",
        exclude_from_normalization=(), beta=nigt.betas.Arnold().
      Algorithm 2 as printed (section 4): adaptive="algorithm2", gradient_bound=g, normalization="global",
        scale_by_weight_norm=False, exclude_from_normalization=().
      The released `use_adaptive` (not in the paper): adaptive="released".

    Args:
      learning_rate: The paper's η0; a float, a LearningRateSchedule, or a tf.Variable, which is followed. None: 1e-3;
        with adaptive="algorithm2" it is a factor on the paper's η_t, and None is 1, as printed.
      beta: The paper's β in [0, 1), or a callable that takes the step (int64 tensor, from 0) and returns β; see
        nigt.betas. The adaptive rules set β themselves and do not read it.
      normalization: "layer": by each variable's own ‖m‖, as in section 5; "global": by that of all of them together
        (Algorithm 1), the excluded ones apart; "none": no division.
      scale_by_weight_norm: True: the step is η‖x‖·m/‖m‖ (section 5.1, as released); False: η·m/‖m‖ (Algorithm 1).
      implicit_gradient_transport: False takes the gradient at w: normalized SGD with momentum (equations 2 and 3).
      exclude_from_normalization: Regular expressions, `re.search`ed in the variable's own name: the last in its path,
        without ":0" ("kernel" of "beta_vae/debias/kernel:0"). What a model or a layer is called decides nothing: for
        the parameters of norms say "beta" and "gamma", not "LayerNorm". The default covers biases, batch-norm and
        layer-norm parameters of tf-models-official and Keras (section 5.1), but not what they call "scale" (RMSNorm).
        Warns, when the state is created, of a kernel that is matched and of a pattern that fits only names of layers.
      excluded_learning_rate_multiplier: Their learning rate is this factor times η (section 5.1: 1000).
      weight_decay: λ of a coupled decay, λ·x added to the gradient before the momentum, as released.
      exclude_from_weight_decay: Regular expressions, as above.
      adaptive: None; "algorithm2": η_t and β_t of Algorithm 2, from two independent gradients a step; "released": the
        rule of the released code, per variable, from one gradient.
      gradient_bound: With "algorithm2" the paper's g, a bound on the norm of every gradient sample.
      adaptive_constant: 26 as printed in Algorithm 2; 52 as its proof needs.
      skip_zero_gradient: True leaves a variable whose whole gradient is zero as it is; False moves it on along m, as
        Algorithm 1 says and the released optimizer does.
      momentum_dtype: "bfloat16" halves the slot: m is stored rounded and stepped with unrounded.
      weight_norm_floor: ‖x‖ counts as at least this much, so that weights that start at 0 can leave it; 0 as released.
      name: The optimizer's name.
      **kwargs: What every tf_keras optimizer takes (clipnorm, jit_compile, …). Clipping rescales normalized steps.

    Raises:
      ValueError: If an argument is out of its range (the message names it), or, at the first step, if a variable is
        of Keras 3 or of 16 bits.
    """

    def __init__(
        self,
        learning_rate: Any = None,
        beta: betas.Beta = 0.9,
        normalization: str = "layer",
        scale_by_weight_norm: bool = True,
        implicit_gradient_transport: bool = True,
        exclude_from_normalization: Sequence[str] = names.BIASES_AND_NORMS,
        excluded_learning_rate_multiplier: float = 1000.0,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] = names.BIASES_AND_NORMS,
        adaptive: str | None = None,
        gradient_bound: float | None = None,
        adaptive_constant: float = 26,
        skip_zero_gradient: bool = False,
        momentum_dtype: str = "float32",
        weight_norm_floor: float = 0.0,
        name: str = "NIGT",
        **kwargs: Any,
    ):
        if not callable(beta):
            betas.check(beta)
            beta = float(beta)
        arguments.check(
            {"normalization": normalization, "momentum_dtype": momentum_dtype, "adaptive": adaptive},
            gradient_bound,
            adaptive_constant,
            keras_arguments.CHOICES,
        )
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
        if learning_rate is None:
            learning_rate = 1.0 if adaptive == "algorithm2" else 1e-3
        super().__init__(name=name, weight_decay=weight_decay, **kwargs)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta = beta
        self.normalization = normalization
        self.scale_by_weight_norm = scale_by_weight_norm
        self.implicit_gradient_transport = implicit_gradient_transport
        self.excluded_learning_rate_multiplier = excluded_learning_rate_multiplier
        self.adaptive = adaptive
        self.gradient_bound = gradient_bound
        self.adaptive_constant = adaptive_constant
        self.skip_zero_gradient = skip_zero_gradient
        self.momentum_dtype = momentum_dtype
        self.weight_norm_floor = weight_norm_floor
        self._normalization_exclusions = tuple(exclude_from_normalization)
        self._weight_decay_exclusions = tuple(exclude_from_weight_decay)
        self._rule = Algorithm2(gradient_bound, adaptive_constant) if gradient_bound else None
        self._squared_distance = None
        self.skipped_steps = self._add_scalar(0, tf.int64, "skipped_steps")
        if self._rule:
            self._gradient_sum = self._add_scalar(self._rule.first_sum, tf.float64, "gradient_sum")
            self._previous_gradient_sum = self._add_scalar(self._rule.d, tf.float64, "previous_gradient_sum")
        self._create_guard()
        if normalization != "none" and scale_by_weight_norm and implicit_gradient_transport and not adaptive:
            arguments.warn_of_growing_weights(keras_arguments.largest(learning_rate), beta)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Creates the state of each variable: m (0), the offset of w (0), ‖x‖ where steps are scaled by it.

        Raises:
          ValueError: If a variable is of Keras 3, or of 16 bits.
        """
        if getattr(self, "_built", False):
            return
        for variable in var_list:
            keras_arguments.check_variable(variable)
        super().build(var_list)
        # By place, and once: a replica's copy of a variable has another name.
        self._excluded = names.matches(self._normalization_exclusions, var_list)
        self._undecayed = names.matches(self._weight_decay_exclusions, var_list)
        names.warn_of_surprises("NIGT: exclude_from_normalization", self._normalization_exclusions, var_list)
        if self.weight_decay:
            names.warn_of_surprises("NIGT: exclude_from_weight_decay", self._weight_decay_exclusions, var_list)
        self._momentums = [self._add_momentum(v) for v in var_list]
        self._offsets = [self.add_variable_from_reference(v, "offset", shape=()) for v in var_list]
        # By the variable's place in var_list, as a string: a checkpoint tracks no other keys.
        self._weight_norms = {}
        for place, variable in enumerate(var_list):
            if self.scale_by_weight_norm and self._is_normalized(variable):
                size = norms.norm(tf.convert_to_tensor(variable))
                if not self.weight_norm_floor:
                    keras_arguments.warn_of_zero_weights(variable, size)
                slot = self.add_variable_from_reference(variable, "weight_norm", initial_value=size)
                self._weight_norms[str(place)] = slot
        if self.adaptive == "released":
            self._norm_sums = [self.add_variable_from_reference(v, "norm_sum", shape=()) for v in var_list]
            self._largest_norms = [self.add_variable_from_reference(v, "largest_norm", shape=()) for v in var_list]
        self._known[:] = var_list
        self._built = True

    def apply_gradients(
        self,
        grads_and_vars: Any,
        name: str | None = None,
        second_gradients: Sequence[Any] | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> Any:
        """One step. The gradients are those at the variables' present values, x.

        Args:
          grads_and_vars: (gradient, variable) pairs; a gradient is dense, IndexedSlices, or None.
          name: Of the scope.
          second_gradients: For Algorithm 2, the gradients of an independent sample at the same x, in the same order.
          skip_gradients_aggregation: True if the gradients are summed over the replicas already.
          **kwargs: As in tf_keras.

        Returns:
          The number of steps taken, as a variable or tensor.

        Raises:
          ValueError: If second_gradients are missing, or not expected; or if a variable is not one of those that the
            optimizer was built for, at its first step or by `build`.
          RuntimeError: Inside `evaluating`, where the variables hold w (in a traced function:
            tf.errors.InvalidArgumentError; compiled by XLA nothing changes and `evaluating` raises on leaving).
        """
        pairs = list(grads_and_vars)
        arguments.check_second_gradients(self.adaptive, second_gradients)
        for gradient, variable in pairs:
            keras_arguments.check_variable(variable)
            if gradient is not None and self._known and self._index_of(variable) is None:
                keras_arguments.refuse_unknown(variable)
        aggregates = kwargs.pop("experimental_aggregate_gradients", True) and not skip_gradients_aggregation
        if aggregates:
            pairs = self.aggregate_gradients(pairs)
        if second_gradients is not None:
            second = list(zip(second_gradients, [v for _, v in pairs], strict=True))
            second = self.aggregate_gradients(second) if aggregates else second
            self._squared_distance = squared_distance([g for g, _ in pairs], [g for g, _ in second])
        try:
            with self._refusing_inside_evaluating():
                return super().apply_gradients(pairs, name=name, skip_gradients_aggregation=True, **kwargs)
        finally:
            self._squared_distance = None

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor; a callable beta must be registered as Keras-serializable to be saved."""
        config = super().get_config()
        config.update(
            learning_rate=self._serialize_hyperparameter(self._learning_rate),
            beta=serial_betas.serialize(self.beta),
            normalization=self.normalization,
            scale_by_weight_norm=self.scale_by_weight_norm,
            implicit_gradient_transport=self.implicit_gradient_transport,
            exclude_from_normalization=list(self._normalization_exclusions),
            excluded_learning_rate_multiplier=self.excluded_learning_rate_multiplier,
            exclude_from_weight_decay=list(self._weight_decay_exclusions),
            adaptive=self.adaptive,
            gradient_bound=self.gradient_bound,
            adaptive_constant=self.adaptive_constant,
            skip_zero_gradient=self.skip_zero_gradient,
            momentum_dtype=self.momentum_dtype,
            weight_norm_floor=self.weight_norm_floor,
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "NIGT":
        """The reverse of get_config."""
        if "beta" in config:
            config = config | {"beta": serial_betas.deserialize(config["beta"], custom_objects)}
        return super().from_config(config, custom_objects=custom_objects)

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Not as in Keras: what is left out of the decay is an argument of the constructor.

        Raises:
          NotImplementedError: Always.
        """
        raise NotImplementedError("NIGT takes exclude_from_weight_decay, regular expressions, in its constructor")

    def save_own_variables(self, store: Any) -> None:
        """As in Keras; bfloat16, which HDF5 does not know, as float32."""
        for place, variable in enumerate(self.variables):
            value = variable.numpy()
            store[str(place)] = value.astype("float32") if variable.dtype == tf.bfloat16 else value

    def set_weights(self, weights: Sequence[Any]) -> None:
        """As in Keras; bfloat16 may come as the two raw bytes that HDF5 makes of it."""
        values = [value[()] if hasattr(value, "file") else value for value in weights]  # h5py's data sets are read
        pairs = zip(values, self.variables, strict=True)
        super().set_weights(
            [w.view(v.dtype.as_numpy_dtype) if getattr(w, "dtype", None) == "V2" else w for w, v in pairs]
        )

    def __repr__(self) -> str:
        # Keras 3 refuses an optimizer that is not its own by printing it: the mend belongs there.
        return (
            f"<{self.name}, an optimizer of tf_keras (Keras 2); for a model of Keras 3 take nigt.keras.NIGT, or build "
            "the model with tf_keras>"
        )

    def _apply_weight_decay(self, variables: Sequence[tf.Variable]) -> None:
        """Nothing: the base class would decay the weights a second time, decoupled from the momentum."""

    def _build_learning_rate(self, learning_rate: Any) -> Any:
        # The base class would copy a variable, and what is assigned to it later would have no effect.
        return learning_rate if isinstance(learning_rate, tf.Variable) else super()._build_learning_rate(learning_rate)

    def _add_scalar(self, value: float, dtype: tf.DType, name: str) -> tf.Variable:
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        with tf.init_scope():
            variable = tf.Variable(value, dtype=dtype, trainable=False, aggregation=first, name=name)
        self._variables.append(variable)
        return variable

    def _add_momentum(self, variable: tf.Variable) -> tf.Variable:
        if self.momentum_dtype == "float32":
            return self.add_variable_from_reference(variable, "momentum")
        name = f"momentum/{variable.name.split(':')[0]}"
        return self.add_variable(variable.shape, tf.as_dtype(self.momentum_dtype), "zeros", name)
