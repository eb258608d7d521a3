"""The optimizers that a gin file can name: NIGT, the paper's baselines, and others for comparisons.

The others are one binding away, GIN="experiment.optimizer=@lamb() lamb.learning_rate=@warmup_polynomial_decay()".
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, InstanceOf, model_validator

from trainers.configurable import Settings, configurable
from trainers.schema.schedules import Schedule

Beta = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(ge=0, le=1e12)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
Epsilon = Annotated[float, Field(gt=0, le=1)]
Patterns = tuple[str, ...] | list[str]
_NOT_KERNELS = ("bias", "beta", "gamma")


class Optimizer(Settings):
    """An optimizer with its schedule.

    Patterns (exclude_from_…) are regular expressions. They are searched in a variable's own name, the last in its path:
    "bias", "gamma". What a layer or the model is called decides nothing.

    Attributes:
      name: In run.json and in results: as tf-models-official calls it.
    """

    name: ClassVar[str]
    learning_rate: InstanceOf[Schedule]


@configurable
class Nigt(Optimizer):
    """NIGT (Algorithm 1, in the form of section 5.1). The arguments are those of nigt.NIGT.

    With adaptive="algorithm2" the learning rate is a factor on η_t, and each step splits its batch in two.
    """

    name = "nigt"
    beta: Beta
    normalization: Literal["layer", "global", "none"] = "layer"
    scale_by_weight_norm: bool = True
    implicit_gradient_transport: bool = True
    exclude_from_normalization: Patterns = _NOT_KERNELS
    excluded_learning_rate_multiplier: Factor = 1000.0
    weight_decay: Factor = 0.0
    exclude_from_weight_decay: Patterns = _NOT_KERNELS
    adaptive: Literal["released", "algorithm2"] | None = None
    gradient_bound: Positive | None = None
    adaptive_constant: Positive = 26.0
    skip_zero_gradient: bool = False
    momentum_dtype: Literal["float32", "bfloat16"] = "float32"
    weight_norm_floor: Factor = 0.0

    @model_validator(mode="after")
    def _knows_its_bound(self) -> Self:
        if (self.adaptive == "algorithm2") != (self.gradient_bound is not None):
            raise ValueError('gradient_bound (the paper\'s g) goes with adaptive = "algorithm2", and only with it')
        return self


@configurable
class Adam(Optimizer):
    """Adam (section 5.2: β1 0.9, β2 0.99; ε as in Devlin et al.'s code), without decay or clipping."""

    name = "adam"
    beta_1: Beta
    beta_2: Beta
    epsilon: Epsilon = 1e-6


@configurable
class Sgd(Optimizer):
    """SGD with heavy-ball momentum, v ← μv − ηg, w ← w + v (section 5.3; Goyal et al.: μ 0.9)."""

    name = "sgd"
    momentum: Beta
    nesterov: bool = False


class _Moments(Optimizer):
    beta_1: Beta = 0.9
    beta_2: Beta = 0.999
    epsilon: Epsilon = 1e-6


@configurable
class Adamw(_Moments):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), as tf-models-official has it.

    Attributes:
      global_clipnorm: The norm at which the whole batch's gradient, of all variables together, is clipped (Devlin et
        al.'s code: 1); None: no clipping.
    """

    name = "adamw"
    weight_decay: Factor = 0.01
    exclude_from_weight_decay: Patterns = _NOT_KERNELS
    global_clipnorm: Positive | None = None


class LayerAdaptive(Optimizer):
    """What LARS and LAMB share. Decay leaves out what layer adaptation leaves out; 0 where the loss has an L2 term."""

    weight_decay: Factor = 0.0
    exclude_from_layer_adaptation: Patterns = _NOT_KERNELS


@configurable
class Lars(LayerAdaptive):
    """LARS (You et al., 2017)."""

    name = "lars"
    momentum: Beta = 0.9
    trust_coefficient: Factor = 0.001


@configurable
class Lamb(LayerAdaptive, _Moments):
    """LAMB (You et al., 2019)."""

    name = "lamb"


@configurable
class Adagrad(Optimizer):
    """AdaGrad (Duchi et al., 2010), as Keras has it."""

    name = "adagrad"
    initial_accumulator_value: Factor = 0.1
    epsilon: Epsilon = 1e-7


@configurable
class Adafactor(Optimizer):
    """Adafactor (Shazeer & Stern, 2018), as Keras has it; its step is the schedule's times each variable's RMS."""

    name = "adafactor_keras"
    beta_2_decay: Annotated[float, Field(ge=-1, lt=0)] = -0.8
    clip_threshold: Factor = 1.0
