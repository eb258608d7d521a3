"""The tasks that a gin file can name."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from trainers.configurable import Settings, configurable
from trainers.schema.schedules import BatchSize, Steps

Size = Annotated[int, Field(gt=0, le=2**20)]  # beyond is a slip of the hand
Fraction = Annotated[float, Field(ge=0, lt=1)]
Dtype = Literal["float32", "bfloat16"]


class Task(Settings):
    """What is trained, and on what.

    Attributes:
      name: In run.json and in results.
      data_dir: A folder of train-*, selection-* and validation-* TFRecords.
      batch_size: Examples a step, over all replicas.
      shuffle_buffer, evaluation_batch_size: Examples.
    """

    name: ClassVar[str]
    data_dir: str
    batch_size: BatchSize
    shuffle_buffer: Steps
    evaluation_batch_size: Size


@configurable
class BertPretraining(Task):
    """Masked-LM pretraining (section 5.2). An example is a sequence.

    Attributes:
      vocabulary_size, sequence_length, max_predictions: As the records were made (tokens; masked tokens a sequence).
      layers, hidden_size, attention_heads, intermediate_size, dropout, initializer_range, activation: The encoder's.
      evaluation_limit: Sequences of a split that an evaluation reads, always the same; None: all.
      next_sentence: Whether the next-sentence loss of Devlin et al. is added; the records have to be pairs.
      target: Masked accuracy; the first evaluation step at which validation reaches it is logged, as steps_to_target.
      init_checkpoint: Whose weights, at w, the run starts from: a checkpoint (RUN/ckpt-3000), or a folder, for its
        newest; "": random. The step and the optimizer's state start at 0.
    """

    name = "bert"
    vocabulary_size: Size
    sequence_length: Size
    max_predictions: Size
    layers: Annotated[int, Field(gt=0, le=1000)]
    hidden_size: Size
    attention_heads: Size
    intermediate_size: Size
    dropout: Fraction
    evaluation_limit: Steps | None = None
    initializer_range: Annotated[float, Field(gt=0, le=10)] = 0.02
    activation: Literal["gelu", "relu"] = "gelu"
    next_sentence: bool = False
    target: Annotated[float, Field(gt=0, le=1)] | None = None
    init_checkpoint: str = ""

    @model_validator(mode="after")
    def _heads_share_the_hidden_size(self):
        if self.hidden_size % self.attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of attention_heads ({self.attention_heads})"
            )
        return self


@configurable
class ResnetClassification(Task):
    """Image classification with a ResNet (section 5.3), on TFRecords in the ImageNet schema. An example is an image.

    Attributes:
      depth: Layers, as tf-models-official's model_id.
      image_size: Pixels, of the square image that the model sees.
      classes: Labels are 0 … classes − 1.
      crop: "inception": random area and aspect ratio, as Goyal et al.; "shift": moved by up to an eighth of the side
        behind a border of zeros, as usual for small images; "none".
      l2_weight_decay: λ of λ/2·‖w‖² in the loss, over kernels, not biases or batch norm. It is the only decay.
      batch_norm_momentum, batch_norm_epsilon: Of the moving statistics.
      width: Factor on every number of channels.
      small_images: A stem that keeps the resolution of 28×28 images, and no center crop.
      synchronized_batch_norm: Batch statistics over all replicas.
      recalibration_batches: Training batches that give the batch-norm statistics at w, for the split validation_bn; 0:
        none are taken.
      image_dtype: In which the host hands the images over. bfloat16 halves what is copied, and gives the same numbers
        where the activations are bfloat16: the first convolution rounds its input to that anyway.
    """

    name = "resnet"
    depth: Literal[10, 18, 34, 50, 101, 152]
    image_size: Annotated[int, Field(gt=0, le=4096)]
    classes: Annotated[int, Field(gt=1, le=2**20)]
    crop: Literal["inception", "shift", "none"]
    l2_weight_decay: Annotated[float, Field(ge=0, le=1e6)]
    batch_norm_momentum: Annotated[float, Field(gt=0, lt=1)]
    width: Annotated[float, Field(gt=0, le=16)] = 1.0
    small_images: bool = False
    batch_norm_epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-5
    synchronized_batch_norm: bool = False
    recalibration_batches: Annotated[int, Field(ge=0, le=2**20)] = 0
    image_dtype: Dtype = "float32"
