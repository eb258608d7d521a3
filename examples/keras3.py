"""A small net on Fashion-MNIST by nigt.keras, from the repository's folder: python -m examples.keras3 [SEED]."""

import pathlib
import sys

import keras
import numpy as np
from keras.layers import Conv2D, Dense, Flatten

from data.laptop import fashion
from nigt.keras import NIGT, EvaluateAtIterate

EPOCHS, BATCH = 2, 100
keras.utils.set_random_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
splits = fashion.fetch(pathlib.Path(".data/downloads"))
(x, y), test = ((np.float32(images)[..., None] / 255, np.int32(labels)) for images, labels in splits.values())
model = keras.Sequential(
    [Conv2D(16, 3, 2, activation="relu"), Conv2D(32, 3, 2, activation="relu"), Flatten(), Dense(10)]
)
schedule = keras.optimizers.schedules.PolynomialDecay(0.01, EPOCHS * len(x) // BATCH, 0.0)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(NIGT(schedule, excluded_learning_rate_multiplier=10), loss, metrics=["accuracy"])
history = model.fit(x, y, BATCH, EPOCHS, validation_data=test, callbacks=[EvaluateAtIterate()], verbose=0)
print(f"accuracy {history.history['val_accuracy'][-1]:.4f}")
