"""What README.md and nigt/README.md show of PyTorch and of JAX trains as it stands there."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLES = [
    code
    for page in ("README.md", "nigt/README.md")
    for code in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
]


@pytest.mark.parametrize("code", [code for code in EXAMPLES if "nigt.torch" in code], ids=["README", "nigt/README"])
def test_pytorch(code):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model, x = torch.nn.Linear(4, 3), torch.ones(8, 4)
    first, construction = code.split("\n\n", 1)
    construction, rest = construction.split("\n", 1)
    before, seen = model(x).square().mean().item(), []
    given = {"model": model, "validate": lambda own: seen.append(own.weight.clone())}
    exec(f"{first}\n{construction}", given)  # noqa: S102
    for _ in range(100):
        given["optimizer"].zero_grad()
        model(x).square().mean().backward()
        given["optimizer"].step()
    held = model.weight.clone()
    exec(rest, given)  # noqa: S102
    assert model(x).square().mean().item() < before and torch.equal(model.weight, held)
    assert not seen or not torch.equal(seen[0], held)


def test_optax():
    import jax
    import jax.numpy as jnp
    import optax

    (code,) = (code for code in EXAMPLES if "nigt.optax" in code)
    setup, step = code.split("updates, state", 1)
    given = {"optax": optax, "steps": 100}
    exec(setup, given)  # noqa: S102

    def loss(params):
        return jnp.square(jnp.ones([8, 4]) @ params["kernel"]).mean()

    given["params"] = {"kernel": jax.random.normal(jax.random.key(0), [4, 3])}
    given["state"] = given["optimizer"].init(given["params"])
    before = loss(given["params"])
    for _ in range(100):
        given["gradients"] = jax.grad(loss)(given["params"])
        exec(f"updates, state{step}", given)  # noqa: S102
    assert loss(given["w"]) < before and not jnp.array_equal(given["w"]["kernel"], given["params"]["kernel"])
