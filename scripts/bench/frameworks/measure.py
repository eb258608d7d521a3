"""One process, in .venv/frameworks, that times the steps: JSON in on standard input, JSON out on standard output.

Of PyTorch and JAX; with KERAS_BACKEND in the environment of Keras on that backend.

In every round each optimizer takes one step on the same variables (in JAX its own copy), in turn, so that what disturbs
the machine disturbs all. State is counted from what the optimizers keep.
"""

import functools
import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import nigt.optax
import nigt.torch.moves

NAMES = {"torch": "PyTorch", "jax": "JAX"}
TORCH: dict[str, Callable] = {
    "AdamW, foreach": lambda p: torch.optim.AdamW(p, 1e-4, foreach=True),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, 1e-4, fused=True),
    "SGD, foreach": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, foreach=True),
    "SGD, fused": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, fused=True),
    "NIGT": lambda p: nigt.torch.NIGT(p, 1e-3),
    "NIGT, fused": lambda p: nigt.torch.NIGT(p, 1e-3, fused=True),
}
OPTAX: dict[str, Callable] = {
    "AdamW": lambda: optax.adamw(1e-4),
    "SGD": lambda: optax.sgd(0.1, momentum=0.9),
    "NIGT": lambda: nigt.optax.nigt(1e-3),
}


def torch_steps(shapes: list[list[int]]) -> dict[str, tuple[Callable, Callable]]:
    """By optimizer, what takes a step and what counts the elements of its state."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(0.02 * torch.randn(shape, generator=generator)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = 0.01 * torch.randn(parameter.shape, generator=generator)

    def count(optimizer: torch.optim.Optimizer) -> int:
        values = [v for state in optimizer.state.values() for v in state.values()]
        return sum(v.numel() for v in values if isinstance(v, torch.Tensor))

    optimizers = {name: make(parameters) for name, make in TORCH.items()}
    steps = {name: (o.step, functools.partial(count, o)) for name, o in optimizers.items()}
    return steps | {"‖x‖ alone": (functools.partial(nigt.torch.moves.sizes, parameters), lambda: 0)}


def optax_steps(shapes: list[list[int]]) -> dict[str, tuple[Callable, Callable]]:
    """The same; parameters and state are donated to the compiled step, as in a training loop."""
    random = np.random.default_rng(0)
    gradients = [jnp.asarray(0.01 * random.standard_normal(shape, np.float32)) for shape in shapes]
    result = {}
    for name, make in OPTAX.items():
        transformation, random = make(), np.random.default_rng(1)
        params = [jnp.asarray(0.02 * random.standard_normal(shape, np.float32)) for shape in shapes]
        held = [params, transformation.init(params)]

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def step(
            params: list[jax.Array],
            state: optax.OptState,
            gradients: list[jax.Array],
            transformation: optax.GradientTransformation = transformation,
        ) -> tuple[list[jax.Array], optax.OptState]:
            updates, state = transformation.update(gradients, state, params)
            return optax.apply_updates(params, updates), state

        def take(held: list = held, step: Callable = step) -> None:
            held[:] = jax.block_until_ready(step(*held, gradients))

        def count(held: list = held) -> int:
            return sum(leaf.size for leaf in jax.tree.leaves(held[1]))

        result[name] = (take, count)
    norms = jax.jit(lambda gradients: [jnp.sqrt(jnp.sum(jnp.square(g))) for g in gradients])
    return result | {"‖g‖ alone": (lambda: jax.block_until_ready(norms(gradients)), lambda: 0)}


def keras_steps(shapes: list[list[int]]) -> dict[str, tuple[Callable, Callable]]:
    """The same for Keras: on PyTorch by `apply`, on JAX by the compiled `stateless_apply`, as its `fit` steps."""
    keras, own = importlib.import_module("keras"), importlib.import_module("nigt.keras")
    makers = {
        "AdamW": lambda: keras.optimizers.AdamW(1e-4),
        "SGD": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        "NIGT": lambda: own.NIGT(1e-3),
    }
    random, result = np.random.default_rng(0), {}
    start = [0.02 * random.standard_normal(shape, np.float32) for shape in shapes]
    gradients = [keras.ops.convert_to_tensor(0.01 * random.standard_normal(shape, np.float32)) for shape in shapes]
    for name, make in makers.items():
        variables = [keras.Variable(value, name="kernel" if value.ndim > 1 else "bias") for value in start]
        optimizer = make()
        optimizer.build(variables)
        take = torch.no_grad()(functools.partial(optimizer.apply, gradients))
        if keras.backend.backend() == "jax":
            held = [[v.value for v in variables], [v.value for v in optimizer.variables]]
            step = jax.jit(
                lambda x, state, gradients, optimizer=optimizer: optimizer.stateless_apply(state, gradients, x),
                donate_argnums=(0, 1),
            )

            def take(held: list = held, step: Callable = step) -> None:
                held[:] = jax.block_until_ready(step(*held, gradients))

        result[name] = (take, lambda optimizer=optimizer: sum(int(np.prod(v.shape)) for v in optimizer.variables))
    return result


def measure(framework: str, model: str, shapes: list[list[int]], rounds: int, warm_up: int) -> list[dict]:
    """A row an optimizer."""
    steps = {"PyTorch": torch_steps, "JAX": optax_steps}.get(framework, keras_steps)(shapes)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(warm_up + rounds):
        for name, (step, _) in steps.items():
            start = time.perf_counter()
            step()
            if number >= warm_up:
                times[name].append(time.perf_counter() - start)
        print(f"bench: {framework}, {model}, round {number + 1} of {warm_up + rounds}", file=sys.stderr)
    parameters = sum(int(np.prod(shape)) for shape in shapes)
    adamw = times.get("AdamW") or times["AdamW, fused"]
    return [
        {
            "framework": framework,
            "model": model,
            "optimizer": name,
            "parameters": parameters,
            "median_ms": f"{1e3 * np.median(own):.1f}",
            "p10_ms": f"{1e3 * np.percentile(own, 10):.1f}",
            "p90_ms": f"{1e3 * np.percentile(own, 90):.1f}",
            "to_adamw": f"{np.median(np.divide(own, adamw)):.2f}",
            "state_copies": f"{steps[name][1]() / parameters:.3f}",
        }
        for name, own in times.items()
    ]


def main() -> None:
    """Of the shapes, rounds and warm-up given, the rows."""
    given = json.load(sys.stdin)
    warnings.filterwarnings("ignore", message="NIGT")
    rows = []
    backend = os.environ.get("KERAS_BACKEND")
    for framework in (f"Keras on {NAMES[backend]}",) if backend else NAMES.values():
        for model, shapes in given["shapes"].items():
            rows += measure(framework, model, shapes, given["rounds"], given["warm_up"])
    versions = f"PyTorch {torch.__version__}, JAX {jax.__version__}, optax {optax.__version__}"
    if backend:
        versions = f"Keras {importlib.import_module('keras').__version__}"
    json.dump({"rows": rows, "versions": versions}, sys.stdout)


if __name__ == "__main__":
    main()
