"""A small net on Fashion-MNIST by nigt for tf_keras, from the repository's folder: python -m examples.keras [SEED]."""

import pathlib
import sys

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras.layers import Conv2D, Dense, Flatten

from data.laptop import fashion
from nigt import NIGT, EvaluateAtIterate

EPOCHS, BATCH = 2, 100
tf_keras.utils.set_random_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
splits = fashion.fetch(pathlib.Path(".data/downloads"))
(x, y), test = ((np.float32(images)[..., None] / 255, labels) for images, labels in splits.values())
model = tf_keras.Sequential(
    [Conv2D(16, 3, 2, activation="relu"), Conv2D(32, 3, 2, activation="relu"), Flatten(), Dense(10)]
)
schedule = tf_keras.optimizers.schedules.PolynomialDecay(0.01, EPOCHS * len(x) // BATCH, 0.0)
loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(NIGT(schedule, excluded_learning_rate_multiplier=10), loss, ["accuracy"])
batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(BATCH)
history = model.fit(batches, epochs=EPOCHS, validation_data=test, callbacks=[EvaluateAtIterate()], verbose=0)
print(f"accuracy {history.history['val_accuracy'][-1]:.4f}")
