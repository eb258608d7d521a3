"""The tasks that a gin file can name, and what every program has to know of them: TASKS."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainers.configurable import Settings, configurable
from trainers.schema.schedules import BatchSize, Steps

Size = Annotated[int, Field(gt=0, le=2**20)]  # beyond is a slip of the hand
Fraction = Annotated[float, Field(ge=0, lt=1)]
Dtype = Literal["float32", "bfloat16"]

_LAPTOP = "make them with `make laptop-data`"
_NOW = "SCALE=laptop trains a small model now; the paper's"


class Task(Settings):
    """What is trained, and on what.

    Attributes:
      name: In run.json and results. Its module is trainers/tasks/NAME.py, its gin files are NAME_OPTIMIZER.gin, and
        `make NAME-OPTIMIZER` runs them.
      title: In tables, "BERT, masked LM"; in figures what stands before the comma.
      metric: The accuracy that is drawn, and by whose selection value the best checkpoint is chosen.
      axis: What the metric is called on an axis, without a unit.
      baseline: The optimizer that is drawn beside NIGT.
      made_by: How its data is made, by scale.
      paper_run: The runs of the paper's Figure 1: what of, and how long; (): the paper has none.
      paper_final: Their accuracy at the end, in %, by optimizer.
      data_dir: A folder of train-*, selection-* and validation-* TFRecords.
      batch_size: Examples a step, over all replicas.
      shuffle_buffer, evaluation_batch_size: Examples.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    metric: ClassVar[str]
    axis: ClassVar[str]
    baseline: ClassVar[str]
    made_by: ClassVar[Mapping[str, str]]
    paper_run: ClassVar[tuple[str, ...]] = ()
    paper_final: ClassVar[Mapping[str, float]] = {}
    data_dir: str
    batch_size: BatchSize
    shuffle_buffer: Steps
    evaluation_batch_size: Size

    def said_by_manifest(self) -> dict[str, str]:
        """What the data's manifest says of these settings: the field by the manifest's name for it."""
        return {"classes": "classes"} if "classes" in type(self).model_fields else {}

    @classmethod
    def short_title(cls) -> str:
        """What stands before the title's comma."""
        return cls.title.partition(",")[0]


class BertTask(Task):
    """A task of a BERT. An example is a sequence.

    Attributes:
      vocabulary_size, sequence_length: As the records were made (tokens).
      layers, hidden_size, attention_heads, intermediate_size, dropout, initializer_range, activation: The encoder's.
      evaluation_limit: Sequences of a split that an evaluation reads, always the same; None: all.
      init_checkpoint: Whose weights, at w, the run starts from: a checkpoint (RUN/ckpt-3000), or a folder (RUN, or
        RUN/best_ckpt), for its newest; "": random. The step and the optimizer's state start at 0.
    """

    vocabulary_size: Size
    sequence_length: Size
    layers: Annotated[int, Field(gt=0, le=1000)]
    hidden_size: Size
    attention_heads: Size
    intermediate_size: Size
    dropout: Fraction
    evaluation_limit: Steps | None = None
    initializer_range: Annotated[float, Field(gt=0, le=10)] = 0.02
    activation: Literal["gelu", "relu"] = "gelu"
    init_checkpoint: str = ""

    def said_by_manifest(self) -> dict[str, str]:
        """As the base class; and the sizes that the records were made for."""
        return super().said_by_manifest() | {"vocabulary_size": "vocabulary_size", "seq_length": "sequence_length"}

    @model_validator(mode="after")
    def _heads_share_the_hidden_size(self) -> Self:
        if self.hidden_size % self.attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of attention_heads ({self.attention_heads})"
            )
        return self


@configurable
class BertPretraining(BertTask):
    """Masked-LM pretraining (section 5.2).

    Attributes:
      max_predictions: As the records were made (masked tokens a sequence).
      next_sentence: Whether the next-sentence loss of Devlin et al. is added; the records have to be pairs.
      target: Masked accuracy; the first evaluation step at which validation reaches it is logged, as steps_to_target.
    """

    name = "bert"
    title = "BERT, masked LM"
    metric = "masked_lm_accuracy"
    axis = "masked LM accuracy"
    baseline = "adam"
    made_by = {
        "laptop": _LAPTOP,
        "paper": f"{_NOW} text is made by `make bert-data DUMP=FILE BOOKS=FOLDER`, where DUMP is a pages-articles dump "
        "of Wikipedia (.xml.bz2, from dumps.wikimedia.org) and BOOKS a folder of .txt files, one a book "
        "(docs/bert_data.md)",
    }
    paper_run = ("BERT-Base", "500,000 steps")
    paper_final = {"nigt": 70.91, "adam": 70.76}
    max_predictions: Size
    next_sentence: bool = False
    target: Annotated[float, Field(gt=0, le=1)] | None = None

    def said_by_manifest(self) -> dict[str, str]:
        """As the base class; and what is predicted."""
        said = super().said_by_manifest() | {"max_predictions": "max_predictions"}
        return said | ({"next_sentence": "next_sentence"} if self.next_sentence else {})


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
    title = "ResNet, top-1"
    metric = "accuracy"
    axis = "top-1 accuracy"
    baseline = "sgd"
    made_by = {
        "laptop": _LAPTOP,
        "paper": f"{_NOW} images are made by `make imagenet-data TARS=FOLDER`, where TARS is the folder of "
        "ILSVRC2012's two tar files (docs/imagenet.md)",
    }
    paper_run = ("ResNet-50", "90 epochs")
    paper_final = {"nigt": 76.37, "sgd": 76.2}
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


@configurable
class SentencePrediction(BertTask):
    """Which class a text is of: what a pretrained BERT is fine-tuned on (not in the paper).

    Attributes:
      classes: Labels are 0 … classes − 1.
    """

    name = "sentences"
    title = "Sentences, accuracy"
    metric = "cls_accuracy"
    axis = "accuracy"
    baseline = "adam"
    made_by = {"laptop": _LAPTOP}
    classes: Annotated[int, Field(gt=1, le=2**20)]


TASKS: dict[str, type[Task]] = {task.name: task for task in (BertPretraining, ResnetClassification, SentencePrediction)}
