"""NIGT in every framework that is installed, called alike: a run over given gradients, and what it left.

With KERAS_BACKEND in the environment: nigt.keras on that backend, and nothing else.
"""

import importlib.util
import os
from typing import NamedTuple

import numpy as np

KERAS = os.environ.get("KERAS_BACKEND")
FORMS = []


class Point(NamedTuple):
    """After a step: x and w of each variable, and the steps that were skipped so far."""

    x: list
    w: list
    skipped: int


def run(form, starts, gradients, rates, *, excluded=None, undecayed=None, second=None, dtype="float64", **options):
    """A Point a step; the variables are those of nigt/reference.py, and options the arguments that all forms share."""
    excluded = [False] * len(starts) if excluded is None else excluded
    undecayed = [False] * len(starts) if undecayed is None else undecayed
    second = [None] * len(gradients) if second is None else second
    starts = [np.asarray(start, dtype) for start in starts]
    gradients, second = (
        [None if g is None else [np.asarray(v, dtype) for v in g] for g in s] for s in (gradients, second)
    )
    return _RUNS[form](starts, gradients, rates, excluded, undecayed, second, **options)


def take(form, table, step):
    """An element of the table, for a β that is one."""
    if form == "keras":
        return keras.ops.take(keras.ops.convert_to_tensor(table), step)
    return jnp.asarray(table)[step] if form == "optax" else table[step]


def _run_torch(starts, gradients, rates, excluded, undecayed, second, fused=False, **options):
    parameters = [torch.tensor(start) for start in starts]
    decay = options.pop("weight_decay", 0.0)
    sides = zip(parameters, excluded, undecayed, strict=True)
    groups = [
        {"params": [p], "normalized": not out, "weight_decay": 0.0 if still else decay} for p, out, still in sides
    ]
    optimizer = NIGT(groups, lr=1e-9, fused=fused, **options)
    points = []
    for gradient, rate, other in zip(gradients, rates, second, strict=True):
        for parameter, group, value in zip(parameters, optimizer.param_groups, gradient, strict=True):
            parameter.grad, group["lr"] = torch.tensor(value), float(rate)
        optimizer.step(second_gradients=other and [torch.tensor(value) for value in other])
        x = [p.numpy().copy() for p in parameters]
        with optimizer.evaluating():
            w = [p.numpy().copy() for p in parameters]
        points.append(Point(x, w, optimizer.skipped_steps))
    return points


def _run_optax(starts, gradients, rates, excluded, undecayed, second, **options):
    rates = jnp.asarray(rates)
    masks = {"normalization_mask": [not out for out in excluded], "weight_decay_mask": [not out for out in undecayed]}
    steps = jnp.arange(len(gradients))

    def step(carried, given):
        params, state = carried
        number, gradient, other = given
        # By the number of the call: count leaves skipped steps out.
        transformation = nigt(rates[number], **masks, **options)
        more = {"second_gradients": other} if other else {}
        updates, state = transformation.update(gradient, state, params, **more)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, eval_params(state, params), state.skipped_steps)

    def columns(values):
        return [jnp.stack(column) for column in zip(*values, strict=True)] if values[0] is not None else None

    params = [jnp.asarray(start) for start in starts]
    start = params, nigt(0.0, **masks, **options).init(params)
    _, (x, w, skipped) = jax.jit(lambda *given: jax.lax.scan(step, *given))(
        start, (steps, columns(gradients), columns(second))
    )
    return [
        Point([np.asarray(v[t]) for v in x], [np.asarray(v[t]) for v in w], int(skipped[t])) for t in range(len(rates))
    ]


def _run_keras(starts, gradients, rates, excluded, undecayed, second, **options):
    names = ["apart" * out + "still" * stays + "variable" for out, stays in zip(excluded, undecayed, strict=True)]
    variables = [
        keras.Variable(keras.ops.convert_to_tensor(start), dtype=start.dtype.name, name=name)
        for start, name in zip(starts, names, strict=True)
    ]
    patterns = {"exclude_from_normalization": ["apart"], "exclude_from_weight_decay": ["still"]}
    optimizer = keras_nigt.NIGT(1e-9, **patterns, **options)
    optimizer.build(variables)

    def step(x, state, gradient):
        x, state = optimizer.stateless_apply(state, gradient, x)
        return x, state, optimizer.stateless_iterates(state, x)

    def step_in_place(x, state, gradient):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradient])
        return variables, optimizer.variables, optimizer.iterates()

    step = jax.jit(step) if KERAS == "jax" else step_in_place
    places = [
        [id(v) for v in optimizer.variables].index(id(v)) for v in (optimizer._learning_rate, optimizer.skipped_steps)
    ]
    points, x, state = [], [v.value for v in variables], [v.value for v in optimizer.variables]
    for gradient, rate in zip(gradients, rates, strict=True):
        if KERAS == "jax":
            state[places[0]] = jnp.asarray(float(rate))
        else:
            optimizer.learning_rate = float(rate)
        x, state, w = step(x, state, gradient)
        x_now, w_now = ([np.array(keras.ops.convert_to_numpy(v)) for v in values] for values in (x, w))
        points.append(Point(x_now, w_now, int(keras.ops.convert_to_numpy(state[places[1]]))))
    return points


if KERAS:
    import keras

    import nigt.keras as keras_nigt

    keras.config.set_floatx("float64")
    if KERAS == "jax":
        import jax
        import jax.numpy as jnp
    FORMS += ["keras"]
if importlib.util.find_spec("torch") and not KERAS:
    import torch

    from nigt.torch import NIGT

    FORMS += ["torch", "torch, fused"]
if importlib.util.find_spec("optax") and not KERAS:
    import jax
    import jax.numpy as jnp
    import optax

    from nigt.optax import eval_params, nigt

    FORMS += ["optax"]
_RUNS = {
    "torch": _run_torch,
    "torch, fused": lambda *given, **options: _run_torch(*given, fused=True, **options),
    "optax": _run_optax,
    "keras": _run_keras,
}
