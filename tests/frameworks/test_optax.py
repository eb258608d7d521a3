"""JAX's and optax's conventions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nigt.optax import eval_params, more_than_one_dimension, nigt

pytestmark = pytest.mark.filterwarnings("ignore:NIGT")
PARAMS = {"dense": {"kernel": np.linspace(-1, 1, 12).reshape(4, 3), "bias": np.zeros(3)}, "scale": np.ones(4)}


def _params():
    return jax.tree.map(jnp.asarray, PARAMS)


def _gradients(steps, seed=0):
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(random.normal(size=(steps, *p.shape))), PARAMS)


def _train(transformation, params, gradients, state=None):
    """(params, state) after all gradients, in a scan under jit."""

    def step(carried, gradient):
        params, state = carried
        updates, state = transformation.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    start = params, transformation.init(params) if state is None else state
    return jax.jit(lambda start, gradients: jax.lax.scan(step, start, gradients)[0])(start, gradients)


def _assert_same(a, b, rtol=1e-12):
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=rtol, atol=rtol), a, b)


def _parts(gradients, *slices):
    return [jax.tree.map(lambda g, s=s: g[s], gradients) for s in slices]


def test_eager_and_scanned_under_jit_are_one():
    params, transformation, gradients = _params(), nigt(1e-2), _gradients(5)
    state = transformation.init(params)
    for step in range(5):
        updates, state = transformation.update(jax.tree.map(lambda g, t=step: g[t], gradients), state, params)
        params = optax.apply_updates(params, updates)
    _assert_same((params, state), _train(nigt(1e-2), _params(), gradients))


@pytest.mark.parametrize("options", [{}, {"adaptive": "algorithm2", "gradient_bound": 9.0}], ids=str)
def test_parameters_and_state_may_be_donated(options):
    """No two parts of the state share a buffer, which XLA would refuse."""
    transformation = nigt(1e-2, **options)
    more = {"second_gradients": _params()} if options else {}
    step = jax.jit(lambda params, state, g: transformation.update(g, state, params, **more), donate_argnums=(0, 1))
    params = jax.tree.map(jnp.array, _params())
    updates, state = step(params, transformation.init(params), _params())
    assert int(state.count) == 1 and all(np.all(np.isfinite(u)) for u in jax.tree.leaves(updates))


def test_vmap_over_seeds():
    """Each seed has its own norms, offsets and skipped steps."""
    several = [_gradients(6, seed) for seed in range(3)]
    several[1]["scale"] = several[1]["scale"].at[2, 0].set(jnp.nan)
    stacked = jax.tree.map(lambda *g: jnp.stack(g), *several)
    params, state = jax.vmap(lambda g: _train(nigt(1e-2), _params(), g))(stacked)
    w = jax.vmap(eval_params)(state, params)
    assert state.skipped_steps.tolist() == [0, 1, 0]
    for seed, gradients in enumerate(several):
        own, own_state = _train(nigt(1e-2), _params(), gradients)
        _assert_same(jax.tree.map(lambda v, s=seed: v[s], (params, w)), (own, eval_params(own_state, own)))


def test_a_run_resumes_exactly_from_its_state():
    first, second = _parts(_gradients(10), slice(5), slice(5, None))
    whole = _train(nigt(1e-2), _params(), _gradients(10))
    leaves, tree = jax.tree.flatten(_train(nigt(1e-2), _params(), first))
    saved = [np.array(leaf) for leaf in leaves]  # to disk and back
    params, state = jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in saved])
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(_train(nigt(1e-2), params, second, state)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_default_mask_is_section_5s_rule():
    mask = more_than_one_dimension(_params())
    assert mask == {"dense": {"kernel": True, "bias": False}, "scale": False}
    expected = _train(nigt(1e-2, weight_decay=0.1), _params(), _gradients(4))
    for given in (mask, more_than_one_dimension):
        masks = {"normalization_mask": given, "weight_decay_mask": given}
        _assert_same(_train(nigt(1e-2, weight_decay=0.1, **masks), _params(), _gradients(4)), expected)
    everything = _train(nigt(1e-2, normalization_mask=True), _params(), _gradients(4))
    assert not np.allclose(everything[0]["scale"], expected[0]["scale"])
    prefix = _train(nigt(1e-2, normalization_mask={"dense": True, "scale": False}), _params(), _gradients(4))
    assert not np.allclose(prefix[0]["dense"]["bias"], expected[0]["dense"]["bias"])


@pytest.mark.parametrize("static", [(), ("normalization_mask",)])
def test_inject_hyperparams_changes_rate_and_beta(static):
    """As two transformations one after the other, at the new values."""
    options = {"normalization_mask": more_than_one_dimension} if static else {}
    transformation = optax.inject_hyperparams(nigt, static_args=static)(learning_rate=1e-2, beta=0.9, **options)
    first, second = _parts(_gradients(8), slice(4), slice(4, None))
    params, state = _train(transformation, _params(), first)
    w = eval_params(state, params)
    state.hyperparams.update(learning_rate=jnp.asarray(2e-3), beta=jnp.asarray(0.5))
    _assert_same(eval_params(state, params), w, rtol=0)  # w is what it was
    changed, changed_state = _train(transformation, params, second, state)
    plain, plain_state = _train(nigt(1e-2, 0.9), _params(), first)
    plain, plain_state = _train(nigt(2e-3, 0.5), plain, second, plain_state)
    _assert_same((changed, eval_params(changed_state, changed)), (plain, eval_params(plain_state, plain)), rtol=1e-6)


def test_inject_hyperparams_takes_a_schedule():
    schedule = optax.linear_schedule(1e-2, 0.0, 6)
    injected = optax.inject_hyperparams(nigt)(learning_rate=schedule)
    params, _ = _train(injected, _params(), _gradients(6))
    _assert_same(params, _train(nigt(schedule), _params(), _gradients(6))[0], rtol=1e-6)


WRAPPERS = {
    "chain": lambda inner: optax.chain(optax.clip(10.0), inner),
    "masked": lambda inner: optax.masked(inner, {"dense": True, "scale": False}),
    "apply_if_finite": lambda inner: optax.apply_if_finite(inner, 3),
    "multi_steps": lambda inner: optax.MultiSteps(inner, 1).gradient_transformation(),
    "multi_transform": lambda inner: optax.multi_transform(
        {"dense": inner, "other": nigt(1e-3)}, {"dense": "dense", "scale": "other"}
    ),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_eval_params_finds_w_inside_other_transformations(name):
    gradients = _gradients(5)
    if name == "masked":  # what is masked is added as it is
        gradients["scale"] = jnp.zeros_like(gradients["scale"])
    params, state = _train(WRAPPERS[name](nigt(1e-2)), _params(), gradients)
    plain, plain_state = _train(nigt(1e-2), _params(), gradients)
    w, plain_w = eval_params(state, params), eval_params(plain_state, plain)
    _assert_same((params["dense"], w["dense"]), (plain["dense"], plain_w["dense"]))
    assert np.any(w["dense"]["kernel"] != params["dense"]["kernel"])
    if name == "masked":
        assert np.array_equal(w["scale"], PARAMS["scale"])
    if name == "multi_transform":
        own, own_state = _train(nigt(1e-3), _params(), gradients)
        _assert_same(w["scale"], eval_params(own_state, own)["scale"])


def test_eval_params_changes_nothing_and_needs_a_state_of_nigt():
    params, state = _train(nigt(1e-2), _params(), _gradients(3))
    before = jax.tree.map(np.array, (params, state))
    eval_params(state, params)
    jax.tree.map(np.testing.assert_array_equal, before, (params, state))
    with pytest.raises(ValueError, match=r"eval_params\(state, params\) found no state of nigt"):
        eval_params(params, state)


@pytest.mark.parametrize("normalization", ["layer", "global"])
def test_sharded_arrays_have_the_norms_of_the_whole(normalization):
    assert len(jax.devices()) == 2
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    sharded = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    alike = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    placed = jax.tree.map(lambda p: jax.device_put(p, sharded if p.shape[0] == 4 else alike), _params())
    transformation = nigt(1e-2, normalization=normalization)
    params, state = _train(transformation, placed, _gradients(5))
    expected, expected_state = _train(transformation, _params(), _gradients(5))
    _assert_same((params, eval_params(state, params)), (expected, eval_params(expected_state, expected)))


def test_what_it_refuses_it_names():
    for arguments, message in [
        ({"beta": 1.0}, r"beta must be in \[0, 1\)"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"normalization": "layers"}, "normalization must be one of"),
        ({"adaptive": "released"}, "adaptive must be one of"),
        ({"adaptive": "algorithm2"}, "gradient_bound must be positive"),
    ]:
        with pytest.raises(ValueError, match=message):
            nigt(1e-3, **arguments)
    half = jax.tree.map(lambda p: jnp.asarray(p, jnp.bfloat16), _params())
    with pytest.raises(ValueError, match=r"\['dense'\]\['bias'\] is bfloat16"):
        nigt(1e-3).init(half)
    state, gradients = nigt(1e-3).init(_params()), _params()
    with pytest.raises(ValueError, match="update needs params"):
        nigt(1e-3).update(gradients, state)
    with pytest.raises(ValueError, match="second_gradients are for"):
        nigt(1e-3).update(gradients, state, _params(), second_gradients=gradients)
    algorithm2 = nigt(1.0, adaptive="algorithm2", gradient_bound=1.0)
    with pytest.raises(ValueError, match="needs second_gradients"):
        algorithm2.update(gradients, algorithm2.init(_params()), _params())


@pytest.mark.filterwarnings("default:NIGT")
def test_growing_weights_are_warned_of():
    with pytest.warns(UserWarning, match="makes the weights grow"):
        nigt(0.05)


def test_the_state_is_one_copy_of_the_parameters():
    state = nigt(1e-3).init(_params())
    numbers = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim == 0]
    arrays = sum(leaf.size for leaf in jax.tree.leaves(state) if leaf.ndim > 0)
    assert arrays == sum(p.size for p in jax.tree.leaves(_params())) and len(numbers) == 2 + 3
