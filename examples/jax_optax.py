"""A small net on Fashion-MNIST by nigt.optax, from the repository's folder: python -m examples.jax_optax [SEED]."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import optax

from data.laptop import fashion
from nigt.optax import eval_params, nigt

EPOCHS, BATCH = 2, 100
key = jax.random.key(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
splits = fashion.fetch(pathlib.Path(".data/downloads"))
(x, y), (x_test, y_test) = ((jnp.asarray(i)[..., None] / 255, jnp.asarray(labels)) for i, labels in splits.values())
initial = jax.nn.initializers.glorot_uniform()
shapes = [(3, 3, 1, 16), (3, 3, 16, 32), (32 * 6 * 6, 10)]
params = [{"kernel": initial(jax.random.fold_in(key, i), s), "bias": jnp.zeros(s[-1])} for i, s in enumerate(shapes)]


def logits(params, x):
    for p in params[:2]:
        x = jax.lax.conv_general_dilated(x, p["kernel"], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + p["bias"])
    return x.reshape(len(x), -1) @ params[2]["kernel"] + params[2]["bias"]


def loss(params, batch):
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x[batch]), y[batch]).mean()


@jax.jit
def step(carried, batch):
    params, state = carried
    updates, state = optimizer.update(jax.grad(loss)(params, batch), state, params)
    return optax.apply_updates(params, updates), state


steps = EPOCHS * len(x) // BATCH
optimizer = nigt(optax.linear_schedule(0.01, 0.0, steps), excluded_learning_rate_multiplier=10)
carried = params, optimizer.init(params)
for epoch in range(EPOCHS):
    for batch in jax.random.permutation(jax.random.fold_in(key, 10 + epoch), len(x)).reshape(-1, BATCH):
        carried = step(carried, batch)
params, state = carried
w = eval_params(state, params)  # the iterates, to evaluate and to save
print(f"accuracy {(logits(w, x_test).argmax(1) == y_test).mean():.4f}")
