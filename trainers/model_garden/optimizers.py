"""The optimizers of trainers/schema, and NIGT among them, as tf-models-official's optimizer factory builds them."""

import dataclasses

from official.modeling import optimization
from official.modeling.optimization import optimizer_factory
from official.modeling.optimization.configs import optimizer_config

from nigt import NIGT
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


for _legacy in (True, False):
    optimizer_factory.register_optimizer_cls("nigt", NIGT, use_legacy_optimizer=_legacy)


def configuration(optimizer: Optimizer) -> OptimizationConfig:
    """The optimizer with its schedule. What has the same name there and here is handed on as it is."""
    settings = optimizer.model_dump(exclude={"learning_rate"})
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    if isinstance(optimizer, Adamw | LayerAdaptive):
        settings["weight_decay_rate"] = settings.pop("weight_decay")
    if isinstance(optimizer, Adamw):
        settings["gradient_clip_norm"] = 0.0
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
