"""The optimizers that a gin file can name, as tf-models-official's optimizer factory builds them."""

import dataclasses
from typing import Annotated, Literal

from official.modeling import optimization
from official.modeling.optimization import optimizer_factory
from official.modeling.optimization.configs import optimizer_config
from pydantic import Field

from nigt import NIGT
from trainers.configurable import configurable
from trainers.schedules import LearningRateConfig, Schedule

Beta = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(ge=0, le=1e12)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
Patterns = tuple[str, ...] | list[str]


@dataclasses.dataclass
class NigtConfig(optimizer_config.BaseOptimizerConfig):
    """The arguments of nigt.NIGT; no gradient clipping, which would silently rescale normalized steps."""

    name: str = "NIGT"
    beta: float = 0.9
    normalization: str = "layer"
    scale_by_weight_norm: bool = True
    implicit_gradient_transport: bool = True
    exclude_from_normalization: list[str] = dataclasses.field(default_factory=lambda: ["bias", "beta", "gamma"])
    excluded_learning_rate_multiplier: float = 1000.0
    weight_decay: float = 0.0
    exclude_from_weight_decay: list[str] = dataclasses.field(default_factory=lambda: ["bias", "beta", "gamma"])
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
    learning_rate: LearningRateConfig = dataclasses.field(default_factory=LearningRateConfig)


for _legacy in (True, False):
    optimizer_factory.register_optimizer_cls("nigt", NIGT, use_legacy_optimizer=_legacy)


@configurable
def nigt(
    learning_rate: Schedule,
    beta: Beta,
    normalization: Literal["layer", "global", "none"] = "layer",
    scale_by_weight_norm: bool = True,
    implicit_gradient_transport: bool = True,
    exclude_from_normalization: Patterns = ("bias", "beta", "gamma"),
    excluded_learning_rate_multiplier: Factor = 1000.0,
    weight_decay: Factor = 0.0,
    exclude_from_weight_decay: Patterns = ("bias", "beta", "gamma"),
    adaptive: Literal["released", "algorithm2"] | None = None,
    gradient_bound: Positive | None = None,
    adaptive_constant: Positive = 26.0,
    skip_zero_gradient: bool = False,
    momentum_dtype: Literal["float32", "bfloat16"] = "float32",
    weight_norm_floor: Factor = 0.0,
) -> OptimizationConfig:
    """NIGT (Algorithm 1, in the form of section 5.1). The arguments are those of nigt.NIGT.

    With adaptive="algorithm2" the learning rate is a factor on η_t, and each step splits its batch in two.
    """
    if (adaptive == "algorithm2") != (gradient_bound is not None):
        raise ValueError('gradient_bound (the paper\'s g) goes with adaptive = "algorithm2", and only with it')
    return configure(
        learning_rate,
        "nigt",
        NigtConfig(
            beta=float(beta),
            normalization=normalization,
            scale_by_weight_norm=scale_by_weight_norm,
            implicit_gradient_transport=implicit_gradient_transport,
            exclude_from_normalization=list(exclude_from_normalization),
            excluded_learning_rate_multiplier=float(excluded_learning_rate_multiplier),
            weight_decay=float(weight_decay),
            exclude_from_weight_decay=list(exclude_from_weight_decay),
            adaptive=adaptive,
            gradient_bound=None if gradient_bound is None else float(gradient_bound),
            adaptive_constant=float(adaptive_constant),
            skip_zero_gradient=skip_zero_gradient,
            momentum_dtype=momentum_dtype,
            weight_norm_floor=float(weight_norm_floor),
        ),
    )


@configurable
def adam(
    learning_rate: Schedule, beta_1: Beta, beta_2: Beta, epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-6
) -> OptimizationConfig:
    """Adam (section 5.2: β1 0.9, β2 0.99; ε as in Devlin et al.'s code), without decay or clipping."""
    config = optimization.AdamConfig(beta_1=float(beta_1), beta_2=float(beta_2), epsilon=float(epsilon))
    return configure(learning_rate, "adam", config)


@configurable
def sgd(learning_rate: Schedule, momentum: Beta, nesterov: bool = False) -> OptimizationConfig:
    """SGD with heavy-ball momentum, v ← μv − ηg, w ← w + v (section 5.3; Goyal et al.: μ 0.9)."""
    return configure(learning_rate, "sgd", optimization.SGDConfig(momentum=float(momentum), nesterov=nesterov))


def configure(schedule: Schedule, kind: str, optimizer: optimizer_config.BaseOptimizerConfig) -> OptimizationConfig:
    """The optimizer with its schedule; kind: tf-models-official's name of it."""
    return OptimizationConfig(
        optimizer=OptimizerConfig(type=kind, **{kind: optimizer}),
        learning_rate=schedule.learning_rate,
        warmup=schedule.warmup,
    )
