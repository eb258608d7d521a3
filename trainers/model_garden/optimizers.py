"""The optimizers of trainers/schema, and NIGT among them, as tf-models-official's optimizer factory builds them."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf
import tf_keras
from official.modeling import optimization
from official.modeling.optimization import lamb, lars, legacy_adamw, optimizer_factory
from official.modeling.optimization.configs import optimizer_config

from nigt import NIGT, names
from trainers.model_garden import schedules
from trainers.schema.optimizers import Adafactor, Adamw, LayerAdaptive, Optimizer


@dataclasses.dataclass
class NigtConfig(optimizer_config.BaseOptimizerConfig):
    """The arguments of nigt.NIGT; no gradient clipping, which would silently rescale normalized steps."""

    name: str = "NIGT"
    beta: float = 0.9
    normalization: str = "layer"
    scale_by_weight_norm: bool = True
    implicit_gradient_transport: bool = True
    exclude_from_normalization: list[str] = dataclasses.field(default_factory=list)
    excluded_learning_rate_multiplier: float = 1000.0
    weight_decay: float = 0.0
    exclude_from_weight_decay: list[str] = dataclasses.field(default_factory=list)
    adaptive: str | None = None
    gradient_bound: float | None = None
    adaptive_constant: float = 26.0
    skip_zero_gradient: bool = False
    momentum_dtype: str = "float32"
    weight_norm_floor: float = 0.0


@dataclasses.dataclass
class OptimizerConfig(optimization.OptimizerConfig):
    """tf-models-official's optimizers and NIGT."""

    nigt: NigtConfig = dataclasses.field(default_factory=NigtConfig)


@dataclasses.dataclass
class OptimizationConfig(optimization.OptimizationConfig):
    """An optimizer with its schedule."""

    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    learning_rate: schedules.LearningRateConfig = dataclasses.field(default_factory=schedules.LearningRateConfig)


class _ByOwnName(tf_keras.optimizers.legacy.Optimizer):
    """Patterns see a variable's own name, as NIGT's do; tf-models-official's search the names of its layers as well."""

    _setting = "exclude_from_layer_adaptation"

    def _create_slots(self, var_list: Sequence[tf.Variable]) -> None:
        if not self._slots:  # Keras calls this at every step
            patterns = getattr(self, self._setting, None) or getattr(self, f"_{self._setting}", None) or ()
            names.warn_of_surprises(f"{self._name}: {self._setting}", patterns, var_list)
        super()._create_slots(var_list)

    def _use_weight_decay(self, param_name: str) -> bool:  # LARS
        return super()._use_weight_decay(names.own_name(param_name))

    def _do_use_weight_decay(self, param_name: str) -> bool:  # LAMB, AdamW
        return super()._do_use_weight_decay(names.own_name(param_name))

    def _do_layer_adaptation(self, param_name: str) -> bool:
        return super()._do_layer_adaptation(names.own_name(param_name))


class Lars(_ByOwnName, lars.LARS):
    """LARS as tf-models-official has it."""


class Lamb(_ByOwnName, lamb.LAMB):
    """LAMB as tf-models-official has it."""


class AdamWeightDecay(_ByOwnName, legacy_adamw.AdamWeightDecay):
    """AdamW as tf-models-official has it."""

    _setting = "exclude_from_weight_decay"


# register_optimizer_cls adds names, but replaces none.
for _classes in (optimizer_factory.LEGACY_OPTIMIZERS_CLS, optimizer_factory.NEW_OPTIMIZERS_CLS):
    _classes.update(nigt=NIGT, lars=Lars, lamb=Lamb, adamw=AdamWeightDecay)


def configuration(optimizer: Optimizer) -> OptimizationConfig:
    """The optimizer with its schedule. What has the same name there and here is handed on as it is."""
    settings = optimizer.model_dump(exclude={"learning_rate"})
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    if isinstance(optimizer, Adamw | LayerAdaptive):
        settings["weight_decay_rate"] = settings.pop("weight_decay")
    if isinstance(optimizer, Adamw):
        settings["gradient_clip_norm"] = 0.0  # it clips what each replica has, before the sum
    if isinstance(optimizer, LayerAdaptive):
        settings["exclude_from_weight_decay"] = settings["exclude_from_layer_adaptation"]
    if "trust_coefficient" in settings:
        settings["eeta"] = settings.pop("trust_coefficient")
    if isinstance(optimizer, Adafactor):
        settings["relative_step"] = False
    learning_rate, warmup = schedules.configuration(optimizer.learning_rate)
    official = type(getattr(OptimizerConfig(), optimizer.name))(**settings)
    return OptimizationConfig(
        optimizer=OptimizerConfig(type=optimizer.name, **{optimizer.name: official}),
        learning_rate=learning_rate,
        warmup=warmup,
    )
