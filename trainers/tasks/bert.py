"""The BERT masked-LM pretraining task of section 5.2, on tf-models-official's own task, model and loader."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.core import task_factory
from official.nlp.configs import bert, encoders
from official.nlp.data import pretrain_dataloader
from official.nlp.tasks import masked_lm

from trainers.input import order as input_order
from trainers.schema.tasks import BertPretraining, BertTask
from trainers.tasks import initial_weights
from trainers.tasks.training_step import Batch, TwoSampleStep, global_mean, global_sum


@dataclasses.dataclass
class BertPretrainingConfig(masked_lm.MaskedLMConfig):
    """tf-models-official's masked-LM task with the slice held out of train for selection.

    Attributes:
      evaluation_limit: Sequences of a split that an evaluation reads; None: all.
      target: A masked accuracy; the first evaluation step at which validation at w reaches it is logged; None: none.
    """

    selection_data: cfg.DataConfig = dataclasses.field(default_factory=cfg.DataConfig)
    evaluation_limit: int | None = None
    target: float | None = None


@task_factory.register_task_cls(BertPretrainingConfig)
class BertPretrainingTask(TwoSampleStep, masked_lm.MaskedLMTask):
    """tf-models-official's MaskedLMTask, reading its records in the order of trainers/input/order.py; its loss is the
    mean over all masked tokens of the batch, however they fall on the replicas.

    Attributes:
      start_step: The step to go on from; set before the inputs are built.
    """

    metric = BertPretraining.metric
    start_step = 0

    def build_model(self, params: Mapping[str, object] | None = None) -> tf_keras.Model:
        """The pretrainer, called once: its masked-LM head has no variables before."""
        model = super().build_model(params)
        model({tensor.name: tensor for tensor in tf.nest.flatten(model.inputs)})
        return model

    def initialize(self, model: tf_keras.Model) -> None:
        """Gives the model the weights of init_checkpoint, at w."""
        if self.task_config.init_checkpoint:
            initial_weights.read(self.task_config, model, model.trainable_variables, super().initialize)

    def build_losses(
        self,
        labels: Batch,
        model_outputs: Batch,
        metrics: Sequence[tf_keras.metrics.Metric],
        aux_losses: Sequence[tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """The masked-LM cross-entropy; its mean over the replicas is that over all masked tokens of the batch."""
        losses = tf_keras.losses.sparse_categorical_crossentropy(
            labels["masked_lm_ids"], tf.cast(model_outputs["mlm_logits"], tf.float32), from_logits=True
        )
        weights = labels["masked_lm_weights"]
        loss = global_mean(tf.reduce_sum(losses * weights), tf.reduce_sum(weights))
        by_name = {metric.name: metric for metric in metrics}
        by_name["lm_example_loss"].update_state(loss)
        if "next_sentence_labels" in labels:
            errors = tf_keras.losses.sparse_categorical_crossentropy(
                labels["next_sentence_labels"], tf.cast(model_outputs["next_sentence"], tf.float32), from_logits=True
            )
            counts = _real_sequences(labels)
            pair_loss = global_mean(tf.reduce_sum(errors * counts), tf.reduce_sum(counts))
            by_name["next_sentence_loss"].update_state(pair_loss)
            loss += pair_loss
        return loss + tf.cast(tf.add_n(aux_losses), loss.dtype) if aux_losses else loss

    def process_metrics(self, metrics: Sequence[tf_keras.metrics.Metric], labels: Batch, model_outputs: Batch) -> None:
        """The accuracies, of masked tokens and of pairs."""
        by_name = {metric.name: metric for metric in metrics}
        pairs = by_name.pop("next_sentence_accuracy", None)
        super().process_metrics(by_name.values(), labels, model_outputs)
        if pairs is not None:
            outputs = model_outputs["next_sentence"]
            pairs.update_state(labels["next_sentence_labels"], outputs, _real_sequences(labels)[:, None])

    def forward(self, inputs: Batch, model: tf_keras.Model, metrics: Sequence[tf_keras.metrics.Metric]) -> tf.Tensor:
        """The loss of a batch, as TwoSampleStep takes it."""
        outputs = model(inputs, training=True)
        self.process_metrics(metrics, inputs, outputs)
        return self.build_losses(inputs, outputs, metrics, model.losses)

    def validation_step(
        self, inputs: Batch, model: tf_keras.Model, metrics: Sequence[tf_keras.metrics.Metric]
    ) -> dict[str, tf.Tensor]:
        """As the base class; and "weight", by which the trainer averages it: masked tokens of the global batch."""
        logs = super().validation_step(inputs, model, metrics)
        return logs | {"weight": global_sum(tf.reduce_sum(inputs["masked_lm_weights"]))}

    def check_record(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """One sequence of a serialized record; InvalidArgumentError where the model's sizes do not fit it."""
        loader = pretrain_dataloader.BertPretrainDataLoader(self.task_config.train_data)
        features = loader._parse(loader._decode(record))
        vocabulary_size = self.task_config.model.encoder.get().vocab_size
        limits = {"input_word_ids": vocabulary_size, "masked_lm_ids": vocabulary_size}
        return checked(features, limits, "vocabulary_size is too small for the token ids in the records")

    def build_inputs(
        self, params: cfg.DataConfig, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Batches of what BertPretrainDataLoader reads: dict of (batch, seq_length) or (batch, predictions)."""

        def parse_weighted(record: tf.Tensor, weight: tf.Tensor) -> Batch:
            features = self.check_record(record)
            return features | {"masked_lm_weights": features["masked_lm_weights"] * weight}

        if params.is_training:  # without a seed: the masking is in the records
            return input_order.training_examples(
                params, lambda record, seed: self.check_record(record), self.start_step, input_context
            )
        limit = self.task_config.evaluation_limit
        return input_order.evaluation_examples(params, parse_weighted, input_context, limit)


def checked(features: dict[str, tf.Tensor], limits: dict[str, int], message: str) -> dict[str, tf.Tensor]:
    """The features of an example; InvalidArgumentError with the message where one reaches its limit.

    A TPU's gather clips such a number in silence.
    """
    checks = [tf.debugging.assert_less(features[name], limit, message) for name, limit in limits.items()]
    with tf.control_dependencies(checks):
        return tf.nest.map_structure(tf.identity, features)


def _real_sequences(labels: Batch) -> tf.Tensor:
    """1 for a sequence, 0 for what fills up an evaluation's last batch: it alone has no masked token that counts."""
    return tf.cast(tf.reduce_any(labels["masked_lm_weights"] > 0, axis=1), tf.float32)


def _next_sentence_head(hidden_size: int, dropout: float) -> bert.ClsHeadConfig:
    """tf-models-official's, on the pooled [CLS] (Devlin et al.)."""
    return bert.ClsHeadConfig(
        inner_dim=hidden_size, num_classes=2, activation="tanh", dropout_rate=dropout, name="next_sentence"
    )


def encoder(settings: BertTask) -> encoders.EncoderConfig:
    """A BERT of these sizes, as tf-models-official configures it."""
    return encoders.EncoderConfig(
        type="bert",
        bert=encoders.BertEncoderConfig(
            vocab_size=settings.vocabulary_size,
            hidden_size=settings.hidden_size,
            num_layers=settings.layers,
            num_attention_heads=settings.attention_heads,
            intermediate_size=settings.intermediate_size,
            hidden_activation=settings.activation,
            dropout_rate=settings.dropout,
            attention_dropout_rate=settings.dropout,
            max_position_embeddings=settings.sequence_length,
            type_vocab_size=2,
            initializer_range=settings.initializer_range,
        ),
    )


def configuration(settings: BertPretraining) -> BertPretrainingConfig:
    """The task as tf-models-official configures it."""

    def data(split: str, training: bool) -> pretrain_dataloader.BertPretrainDataConfig:
        return pretrain_dataloader.BertPretrainDataConfig(
            input_path=os.path.join(settings.data_dir, f"{split}-*.tfrecord"),
            is_training=training,
            global_batch_size=settings.batch_size if training else settings.evaluation_batch_size,
            seq_length=settings.sequence_length,
            max_predictions_per_seq=settings.max_predictions,
            use_next_sentence_label=settings.next_sentence,
            use_v2_feature_names=True,
            shuffle_buffer_size=settings.shuffle_buffer,
            cycle_length=4,
        )

    return BertPretrainingConfig(
        model=bert.PretrainerConfig(
            encoder=encoder(settings),
            cls_heads=[_next_sentence_head(settings.hidden_size, settings.dropout)] if settings.next_sentence else [],
            mlm_activation=settings.activation,
            mlm_initializer_range=settings.initializer_range,
        ),
        train_data=data("train", True),
        selection_data=data("selection", False),
        validation_data=data("validation", False),
        evaluation_limit=settings.evaluation_limit,
        target=settings.target,
        init_checkpoint=settings.init_checkpoint,
        scale_loss=True,  # gradients are summed over the replicas; tf-models-official's default leaves the sum
    )
