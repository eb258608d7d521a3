"""The ResNet image classification task of section 5.3, on tf-models-official's own task, model and loader."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.core import task_factory
from official.vision.configs import backbones, common
from official.vision.configs import image_classification as image_config
from official.vision.dataloaders import classification_input
from official.vision.ops import preprocess_ops
from official.vision.tasks import image_classification

from trainers.input import order as input_order
from trainers.schema.tasks import ResnetClassification
from trainers.tasks.training_step import TwoSampleStep, global_mean, global_sum


@dataclasses.dataclass
class ResnetConfig(image_config.ImageClassificationTask):
    """tf-models-official's classification task, the slice held out for selection, and what the schema adds."""

    selection_data: image_config.DataConfig = dataclasses.field(default_factory=image_config.DataConfig)
    crop: str = "inception"
    recalibration_batches: int = 0


class _SeededParser(classification_input.Parser):
    """tf-models-official's parser with the training crop and flip drawn from a seed that is given to it."""

    def __init__(self, crop: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._crop, self._num_classes = crop, kwargs["num_classes"]

    def parse_training(self, decoded: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(image, label) of one example; seed: int64, shape [2]."""
        height, width = self._output_size
        encoded = decoded[self._image_field_key]
        if self._crop == "inception":
            image = self._inception_crop(encoded, seed)
        else:
            image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
            image.set_shape([None, None, 3])
        image = tf.image.stateless_random_flip_left_right(image, seed + tf.constant([0, 1 << 60], tf.int64))
        image = tf.cast(image, tf.float32)
        if self._crop != "shift" or (height, width) != (28, 28):
            image = tf.image.resize(image, (height, width), method=self._tf_resize_method)
        image.set_shape([height, width, 3])  # of an image that is not resized it is not known yet
        image = _normalize(image)
        if self._crop == "shift":
            shift = max(1, height // 8)
            image = tf.pad(image, [[shift, shift], [shift, shift], [0, 0]])
            image = tf.image.stateless_random_crop(image, (height, width, 3), seed)
        image.set_shape([height, width, 3])
        label = tf.cast(decoded[self._label_field_key], tf.int32)
        return tf.cast(image, self._dtype), label

    def checked(self, example: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """The example; InvalidArgumentError where its label is no class: one-hot, it would be zeros in silence."""
        image, label = example
        message = "classes is too small for the labels in the records"
        with tf.control_dependencies([tf.debugging.assert_less(label, self._num_classes, message)]):
            return image, tf.identity(label)

    def _inception_crop(self, encoded: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A crop of 8–100 % of the area and an aspect ratio of 3/4–4/3; only its part of a JPEG is decoded."""
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.image.extract_jpeg_shape(encoded),
            tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            seed=seed,
            area_range=self._crop_area_range,
            aspect_ratio_range=(0.75, 4 / 3),
            max_attempts=10,
            use_image_if_no_bounding_boxes=True,
        )
        top, left, _ = tf.unstack(begin)
        height, width, _ = tf.unstack(size)
        return tf.io.decode_and_crop_jpeg(encoded, tf.stack([top, left, height, width]), channels=3)


def _normalize(image: tf.Tensor) -> tf.Tensor:
    """preprocess_ops.normalize_image's numbers, float32 (height, width, 3), in a tenth of its time.

    TensorFlow repeats the mean along a row of width · 3 numbers much faster than along the 3 of each pixel.
    """
    height, width, channels = image.shape
    row = tf.reshape(image, (height, width * channels))
    mean, deviation = (tf.tile(tf.constant(c), (width,)) for c in (preprocess_ops.MEAN_RGB, preprocess_ops.STDDEV_RGB))
    return tf.reshape((row - mean) / deviation, image.shape)


@task_factory.register_task_cls(ResnetConfig)
class ResnetTask(TwoSampleStep, image_classification.ImageClassificationTask):
    """tf-models-official's ImageClassificationTask, reading its records in the order of trainers/input/order.py; its
    loss is the mean over all images of the batch, however they fall on the replicas.

    Attributes:
      start_step: The step to go on from; set before the inputs are built.
    """

    metric = ResnetClassification.metric
    start_step = 0

    def build_losses(
        self,
        labels: tf.Tensor,
        model_outputs: tf.Tensor,
        aux_losses: Sequence[tf.Tensor] | None = None,
        weights: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The cross-entropy and the L2 term; its mean over the replicas is that over all images of the batch.

        Args:
          labels: One-hot, (batch, classes).
          model_outputs: Logits, (batch, classes).
          aux_losses: The L2 terms.
          weights: Of the images, (batch,); None: 1.
        """
        losses = tf_keras.losses.categorical_crossentropy(
            labels, model_outputs, from_logits=True, label_smoothing=self.task_config.losses.label_smoothing
        )
        weights = tf.ones_like(losses) if weights is None else weights
        loss = global_mean(tf.reduce_sum(losses * weights), tf.reduce_sum(weights))
        return loss + tf.cast(tf.add_n(aux_losses), loss.dtype) if aux_losses else loss

    def forward(
        self, inputs: tuple[tf.Tensor, tf.Tensor], model: tf_keras.Model, metrics: Sequence[tf_keras.metrics.Metric]
    ) -> tf.Tensor:
        """The loss of a batch, as TwoSampleStep takes it."""
        images, labels = inputs
        labels = tf.one_hot(labels, self.task_config.model.num_classes)
        outputs = tf.cast(model(images, training=True), tf.float32)
        self.process_metrics(metrics, labels, outputs)
        return self.build_losses(labels, outputs, model.losses)

    def validation_step(
        self,
        inputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
        model: tf_keras.Model,
        metrics: Sequence[tf_keras.metrics.Metric] | None = None,
    ) -> dict[str, tf.Tensor]:
        """One batch of images, labels and the images' weights: 0 for those that only fill up the last batch.

        Returns:
          This replica's loss by name; and "weight", by which the trainer averages it: images of the global batch.
        """
        images, labels, weights = inputs
        labels = tf.one_hot(labels, self.task_config.model.num_classes)
        outputs = tf.cast(self.inference_step(images, model), tf.float32)
        for metric in metrics or ():
            metric.update_state(labels, outputs, sample_weight=weights)
        loss = self.build_losses(labels, outputs, model.losses, weights)
        return {self.loss: loss, "weight": global_sum(tf.reduce_sum(weights))}

    def build_inputs(
        self, params: cfg.DataConfig, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Batches of (images, labels): (batch, height, width, 3), normalized; int32 (batch,).

        To evaluate, with float32 weights (batch,), 0 for the images that only fill up the last batch.
        """
        decoder, parser = classification_input.Decoder(), self._parser(params)
        if params.is_training:
            return input_order.training_examples(
                params,
                lambda record, seed: parser.checked(parser.parse_training(decoder.decode(record), seed)),
                self.start_step,
                input_context,
            )
        parse_evaluation = parser.parse_fn(is_training=False)
        return input_order.evaluation_examples(
            params,
            lambda record, weight: (*parser.checked(parse_evaluation(decoder.decode(record))), weight),
            input_context,
        )

    def check_record(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The whole image, as it was encoded, and the label; InvalidArgumentError where either is none.

        A crop decodes its own part of a JPEG alone.
        """
        decoded = classification_input.Decoder().decode(record)
        image = tf.io.decode_image(decoded["image/encoded"], channels=3, expand_animations=False)
        return self._parser(self.task_config.train_data).checked(
            (image, tf.cast(decoded["image/class/label"], tf.int32))
        )

    def _parser(self, params: image_config.DataConfig) -> "_SeededParser":
        return _SeededParser(
            crop=self.task_config.crop,
            output_size=self.task_config.model.input_size[:2],
            num_classes=self.task_config.model.num_classes,
            decode_jpeg_only=params.decode_jpeg_only,
            aug_crop=params.aug_crop,
            dtype=params.dtype,
            crop_area_range=params.crop_area_range,
            center_crop_fraction=params.center_crop_fraction,
        )


def configuration(settings: ResnetClassification) -> ResnetConfig:
    """The task as tf-models-official configures it."""

    def data(split: str, training: bool) -> image_config.DataConfig:
        return image_config.DataConfig(
            input_path=os.path.join(settings.data_dir, f"{split}-*"),
            is_training=training,
            global_batch_size=settings.batch_size if training else settings.evaluation_batch_size,
            shuffle_buffer_size=settings.shuffle_buffer,
            cycle_length=10,
            drop_remainder=training,
            decode_jpeg_only=not settings.small_images,
            aug_crop=not settings.small_images,
            cache=settings.small_images and not training,
            dtype=settings.image_dtype,
        )

    return ResnetConfig(
        model=image_config.ImageClassificationModel(
            num_classes=settings.classes,
            input_size=[settings.image_size, settings.image_size, 3],
            backbone=backbones.Backbone(
                type="resnet",
                resnet=backbones.ResNet(
                    model_id=settings.depth,
                    depth_multiplier=settings.width,
                    replace_stem_max_pool=settings.small_images,
                ),
            ),
            norm_activation=common.NormActivation(
                norm_momentum=settings.batch_norm_momentum,
                norm_epsilon=settings.batch_norm_epsilon,
                use_sync_bn=settings.synchronized_batch_norm,
            ),
        ),
        losses=image_config.Losses(l2_weight_decay=settings.l2_weight_decay, label_smoothing=0.0),
        train_data=data("train", True),
        selection_data=data("selection", False),
        validation_data=data("validation", False),
        crop=settings.crop,
        recalibration_batches=settings.recalibration_batches,
    )
