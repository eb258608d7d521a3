"""Sentence prediction, tf-models-official's task: which class a text is of, by a BERT that another run pretrained."""

import dataclasses
import os
from collections.abc import Sequence

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.core import task_factory
from official.nlp.data import sentence_prediction_dataloader as loaders
from official.nlp.tasks import sentence_prediction

from trainers.input import order as input_order
from trainers.schema.tasks import SentencePrediction
from trainers.tasks import bert, initial_weights
from trainers.tasks.training_step import Batch, TwoSampleStep, global_mean, global_sum

_WEIGHT = "weight"  # of an example: 0 for what only fills up an evaluation's last batch


@dataclasses.dataclass
class SentencesConfig(sentence_prediction.SentencePredictionConfig):
    """tf-models-official's task, the slice held out for selection, and how much of a split an evaluation reads."""

    selection_data: loaders.SentencePredictionDataConfig = dataclasses.field(
        default_factory=loaders.SentencePredictionDataConfig
    )
    evaluation_limit: int | None = None


@task_factory.register_task_cls(SentencesConfig)
class SentencesTask(TwoSampleStep, sentence_prediction.SentencePredictionTask):
    """tf-models-official's SentencePredictionTask, reading its records in the order of trainers/input/order.py; its
    loss is the mean over all texts of the batch, however they fall on the replicas.

    Attributes:
      start_step: The step to go on from; set before the inputs are built.
    """

    metric = SentencePrediction.metric
    start_step = 0

    def initialize(self, model: tf_keras.Model) -> None:
        """Gives the encoder the weights of init_checkpoint, at w."""
        if self.task_config.init_checkpoint:
            given = model.checkpoint_items["encoder"].trainable_variables
            initial_weights.read(self.task_config, model, given, super().initialize)

    def build_losses(
        self, labels: Batch, model_outputs: tf.Tensor, aux_losses: Sequence[tf.Tensor] | None = None
    ) -> tf.Tensor:
        """The cross-entropy; its mean over the replicas is that over all texts of the batch.

        Args:
          labels: A batch, as `build_inputs` gives it.
          model_outputs: Logits, (batch, classes).
          aux_losses: None are expected.
        """
        losses = tf_keras.losses.sparse_categorical_crossentropy(
            labels[self.label_field], tf.cast(model_outputs, tf.float32), from_logits=True
        )
        loss = global_mean(tf.reduce_sum(losses * labels[_WEIGHT]), tf.reduce_sum(labels[_WEIGHT]))
        return loss + tf.cast(tf.add_n(aux_losses), loss.dtype) if aux_losses else loss

    def process_metrics(
        self, metrics: Sequence[tf_keras.metrics.Metric], labels: Batch, model_outputs: tf.Tensor
    ) -> None:
        """The accuracy."""
        for metric in metrics:
            metric.update_state(labels[self.label_field], model_outputs, labels[_WEIGHT])

    def build_metrics(self, training: bool | None = None) -> list[tf_keras.metrics.Metric]:
        """The accuracy alone, whatever the number of classes."""
        return [tf_keras.metrics.SparseCategoricalAccuracy(name=self.metric)]

    def forward(self, inputs: Batch, model: tf_keras.Model, metrics: Sequence[tf_keras.metrics.Metric]) -> tf.Tensor:
        """The loss of a batch, as TwoSampleStep takes it."""
        outputs = model(inputs, training=True)
        self.process_metrics(metrics, inputs, outputs)
        return self.build_losses(inputs, outputs, model.losses)

    def validation_step(
        self, inputs: Batch, model: tf_keras.Model, metrics: Sequence[tf_keras.metrics.Metric] | None = None
    ) -> dict[str, tf.Tensor]:
        """As the base class; and "weight", by which the trainer averages it: texts of the global batch."""
        logs = super().validation_step(inputs, model, metrics)
        return logs | {"weight": global_sum(tf.reduce_sum(inputs[_WEIGHT]))}

    def check_record(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """One text of a serialized record; InvalidArgumentError where the model's sizes do not fit it."""
        loader = loaders.SentencePredictionDataLoader(self.task_config.train_data)
        features = loader._parse(loader._decode(record))
        vocabulary_size = self.task_config.model.encoder.get().vocab_size
        message = "vocabulary_size is too small for the token ids in the records"
        features = bert.checked(features, {"input_word_ids": vocabulary_size}, message)
        limits = {self.label_field: self.task_config.model.num_classes}
        return bert.checked(features, limits, "classes is too small for the labels in the records")

    def build_inputs(
        self, params: cfg.DataConfig, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Batches of input_word_ids, input_mask, input_type_ids (int32 (batch, seq_length)), label_ids (int32) and
        weight (float32), both (batch,)."""

        def parse(record: tf.Tensor, weight: tf.Tensor | float) -> Batch:
            return self.check_record(record) | {_WEIGHT: weight}

        if params.is_training:
            return input_order.training_examples(
                params, lambda record, seed: parse(record, 1.0), self.start_step, input_context
            )
        return input_order.evaluation_examples(params, parse, input_context, self.task_config.evaluation_limit)


def configuration(settings: SentencePrediction) -> SentencesConfig:
    """The task as tf-models-official configures it."""

    def data(split: str, training: bool) -> loaders.SentencePredictionDataConfig:
        return loaders.SentencePredictionDataConfig(
            input_path=os.path.join(settings.data_dir, f"{split}-*"),
            is_training=training,
            global_batch_size=settings.batch_size if training else settings.evaluation_batch_size,
            seq_length=settings.sequence_length,
            shuffle_buffer_size=settings.shuffle_buffer,
            cycle_length=4,
        )

    return SentencesConfig(
        model=sentence_prediction.ModelConfig(
            num_classes=settings.classes, use_encoder_pooler=True, encoder=bert.encoder(settings)
        ),
        train_data=data("train", True),
        selection_data=data("selection", False),
        validation_data=data("validation", False),
        evaluation_limit=settings.evaluation_limit,
        init_checkpoint=settings.init_checkpoint,
    )
