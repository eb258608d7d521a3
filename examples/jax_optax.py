"""A small net on Fashion-MNIST by nigt.optax, from the repository's folder: python -m examples.jax_optax [SEED]."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import optax
from jax.example_libraries.stax import Conv, Dense, Flatten, Relu, serial

from data.laptop import fashion
from nigt.optax import eval_params, nigt

EPOCHS, BATCH = 2, 100
key = jax.random.key(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
splits = fashion.fetch(pathlib.Path(".data/downloads"))
(x, y), (x_test, y_test) = ((jnp.asarray(i)[..., None] / 255, jnp.asarray(labels)) for i, labels in splits.values())
initialize, logits = serial(Conv(16, (3, 3), (2, 2)), Relu, Conv(32, (3, 3), (2, 2)), Relu, Flatten, Dense(10))
_, params = initialize(key, (-1, 28, 28, 1))
steps = EPOCHS * len(x) // BATCH
optimizer = nigt(optax.linear_schedule(0.01, 0.0, steps), excluded_learning_rate_multiplier=10)
state = optimizer.init(params)


@jax.jit
def step(params, state, x, y):
    loss = lambda params: optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()  # noqa: E731
    updates, state = optimizer.update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state


for epoch in range(EPOCHS):
    for batch in jax.random.permutation(jax.random.fold_in(key, epoch), len(x)).reshape(-1, BATCH):
        params, state = step(params, state, x[batch], y[batch])
w = eval_params(state, params)  # the iterates, to evaluate and to save
print(f"accuracy {(logits(w, x_test).argmax(1) == y_test).mean():.4f}")
