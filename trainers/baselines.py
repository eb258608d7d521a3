"""Further optimizers for comparisons, each one binding away: GIN="experiment.optimizer=@lamb()".

They take the learning rate's schedule as every optimizer here does: lamb.learning_rate = @warmup_polynomial_decay().
"""

from typing import Annotated

from official.modeling import optimization
from official.modeling.optimization.configs import optimizer_config
from pydantic import Field

from trainers.configurable import configurable
from trainers.optimizers import Beta, Factor, OptimizationConfig, Patterns, configure
from trainers.schedules import Schedule

Epsilon = Annotated[float, Field(gt=0, le=1)]
_NOT_KERNELS = ("bias", "beta", "gamma")


@configurable
def adamw(
    learning_rate: Schedule,
    beta_1: Beta = 0.9,
    beta_2: Beta = 0.999,
    epsilon: Epsilon = 1e-6,
    weight_decay: Factor = 0.01,
    exclude_from_weight_decay: Patterns = _NOT_KERNELS,
) -> OptimizationConfig:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), as tf-models-official has it, without clipping."""
    config = optimization.AdamWeightDecayConfig(
        beta_1=float(beta_1),
        beta_2=float(beta_2),
        epsilon=float(epsilon),
        weight_decay_rate=float(weight_decay),
        exclude_from_weight_decay=list(exclude_from_weight_decay),
        gradient_clip_norm=0.0,
    )
    return configure(learning_rate, "adamw", config)


@configurable
def lars(
    learning_rate: Schedule,
    momentum: Beta = 0.9,
    trust_coefficient: Factor = 0.001,
    weight_decay: Factor = 0.0,
    exclude_from_layer_adaptation: Patterns = _NOT_KERNELS,
) -> OptimizationConfig:
    """LARS (You et al., 2017). weight_decay stays 0 where the loss has an L2 term."""
    config = optimizer_config.LARSConfig(
        momentum=float(momentum),
        eeta=float(trust_coefficient),
        weight_decay_rate=float(weight_decay),
        exclude_from_weight_decay=list(exclude_from_layer_adaptation),
        exclude_from_layer_adaptation=list(exclude_from_layer_adaptation),
    )
    return configure(learning_rate, "lars", config)


@configurable
def lamb(
    learning_rate: Schedule,
    beta_1: Beta = 0.9,
    beta_2: Beta = 0.999,
    epsilon: Epsilon = 1e-6,
    weight_decay: Factor = 0.0,
    exclude_from_layer_adaptation: Patterns = _NOT_KERNELS,
) -> OptimizationConfig:
    """LAMB (You et al., 2019). weight_decay stays 0 where the loss has an L2 term."""
    config = optimizer_config.LAMBConfig(
        beta_1=float(beta_1),
        beta_2=float(beta_2),
        epsilon=float(epsilon),
        weight_decay_rate=float(weight_decay),
        exclude_from_weight_decay=list(exclude_from_layer_adaptation),
        exclude_from_layer_adaptation=list(exclude_from_layer_adaptation),
    )
    return configure(learning_rate, "lamb", config)


@configurable
def adagrad(
    learning_rate: Schedule, initial_accumulator_value: Factor = 0.1, epsilon: Epsilon = 1e-7
) -> OptimizationConfig:
    """AdaGrad (Duchi et al., 2010), as Keras has it."""
    config = optimizer_config.AdagradConfig(
        initial_accumulator_value=float(initial_accumulator_value), epsilon=float(epsilon)
    )
    return configure(learning_rate, "adagrad", config)


@configurable
def adafactor(
    learning_rate: Schedule, beta_2_decay: Annotated[float, Field(ge=-1, lt=0)] = -0.8, clip_threshold: Factor = 1.0
) -> OptimizationConfig:
    """Adafactor (Shazeer & Stern, 2018), as Keras has it; its step is the schedule's times each variable's RMS."""
    config = optimizer_config.AdafactorKerasConfig(
        beta_2_decay=float(beta_2_decay), clip_threshold=float(clip_threshold), relative_step=False
    )
    return configure(learning_rate, "adafactor_keras", config)
