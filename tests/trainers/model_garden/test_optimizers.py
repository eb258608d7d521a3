"""The optimizers for comparisons: from a binding to steps that go downhill."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from official.modeling.optimization import lamb, lars, legacy_adamw, optimizer_factory

from trainers import gin_files

RATES = {"adamw": 0.1, "lars": 0.1, "lamb": 0.1, "adagrad": 1.0, "adafactor": 0.5}


def _optimizer(experiment):
    factory = optimizer_factory.OptimizerFactory(experiment.config.trainer.optimizer_config)
    return factory.build_optimizer(factory.build_learning_rate())


@pytest.mark.parametrize("name", RATES)
def test_one_binding_names_it_and_it_descends(name):
    """On ½‖w − 1‖², from a w of norm 10; the bias is updated too."""
    bindings = [
        f"experiment.optimizer = @{name}()",
        f"{name}.learning_rate = @warmup_polynomial_decay()",
        f"eta0 = {RATES[name]}",
        "warmup_polynomial_decay.warmup_steps = 1",
        *(["lars.trust_coefficient = 1.0"] if name == "lars" else []),
    ]
    experiment = gin_files.load("configs/laptop/resnet_nigt.gin", bindings)
    assert experiment.optimizer.name.startswith(name)
    optimizer = _optimizer(experiment)
    kernel = tf.Variable(tf.fill((10, 10), 1.0) + tf.random.stateless_normal((10, 10), (1, 2)), name="kernel")
    bias = tf.Variable(tf.zeros(10), name="bias")
    first = float(tf.reduce_sum((kernel - 1) ** 2))
    for _ in range(200):
        optimizer.apply_gradients([(kernel - 1, kernel), (bias - 1, bias)])
    assert float(tf.reduce_sum((kernel - 1) ** 2)) < 0.5 * first and float(tf.reduce_sum(bias)) > 0
    assert np.isfinite(kernel.numpy()).all()


@pytest.mark.parametrize("form", ["eager", "xla", "replicas"])
def test_adamw_clips_the_gradient_of_the_whole_batch_as_devlin_et_al_do(form):
    """Against Adam with decoupled decay in NumPy, on gradients of which some are longer than 1."""
    experiment = gin_files.load("configs/laptop/bert_adamw.gin", ["warmup_polynomial_decay.warmup_steps = 0"])
    strategy = tf.distribute.get_strategy()
    if form == "replicas":
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.HierarchicalCopyAllReduce())
    rng = np.random.default_rng(0)
    w, gradients = rng.normal(size=(2, 3)), [rng.normal(size=(2, 3)) * size for size in (0.1, 5.0, 0.2, 30.0)]
    with strategy.scope():
        optimizer, variable = _optimizer(experiment), tf.Variable(w.astype(np.float32), name="kernel")

    def step(gradient):
        def on_a_replica():  # which has an equal share
            share = tf.cast(gradient / strategy.num_replicas_in_sync, tf.float32)
            optimizer.apply_gradients([(share, variable)])

        strategy.run(on_a_replica)

    step = step if form == "eager" else tf.function(step, jit_compile=form == "xla")
    m = v = 0
    for t, gradient in enumerate(gradients):
        step(tf.constant(gradient))
        g = gradient / max(1, np.linalg.norm(gradient))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        rate = 0.001 * (1 - t / 2400)
        corrected = rate * np.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
        w = w - rate * 0.01 * w
        w = w - corrected * m / (np.sqrt(v) + 1e-6)
    np.testing.assert_allclose(variable.numpy(), w, rtol=1e-5, atol=1e-6)


NAMED = {
    "adamw": ("exclude_from_weight_decay", legacy_adamw.AdamWeightDecay),
    "lars": ("exclude_from_layer_adaptation", lars.LARS),
    "lamb": ("exclude_from_layer_adaptation", lamb.LAMB),
}


def _by_name(name, patterns=None):
    argument, _ = NAMED[name]
    bindings = [
        f"experiment.optimizer = @{name}()",
        f"{name}.learning_rate = @warmup_polynomial_decay()",
        "eta0 = 0.1",
        "warmup_polynomial_decay.warmup_steps = 1",
        f"{name}.weight_decay = 0.5",
        *([f"{name}.{argument} = {patterns}"] if patterns else []),
    ]
    return _optimizer(gin_files.load("configs/laptop/resnet_nigt.gin", bindings))


def _stepped(make, prefix, form="graph"):
    """Of a kernel, a bias and a gamma whose paths begin with the prefix: what a few steps make of them."""
    strategy = tf.distribute.get_strategy()
    if form == "replicas":  # whose copies of a variable have other names
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.HierarchicalCopyAllReduce())
    start = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    with strategy.scope():
        optimizer = make()
        variables = [tf.Variable(start + 1, name=prefix + name) for name in ("kernel", "bias", "norm/gamma")]

    def step():
        strategy.run(lambda: optimizer.apply_gradients([(tf.sin(v), v) for v in variables]) and None)

    step = step if form == "eager" else tf.function(step, jit_compile=form == "xla")
    for _ in range(3):
        step()
    return [v.numpy() for v in variables]


@pytest.mark.parametrize("form", ["eager", "graph", "xla", "replicas"])
@pytest.mark.parametrize("name", NAMED)
def test_the_name_of_a_model_or_a_layer_decides_nothing(name, form, monkeypatch):
    """And the steps are tf-models-official's own, which takes a kernel for one where nothing around it is a bias."""
    with monkeypatch.context() as context:
        context.setitem(optimizer_factory.LEGACY_OPTIMIZERS_CLS, name, NAMED[name][1])
        expected = _stepped(lambda: _by_name(name), "model/dense/", form)
    assert np.any(expected[0] != expected[1]) and np.all(expected[1] == expected[2])
    for prefix in ("model/dense/", "beta_vae/debias_projection/", "GammaNet/bias/", "bias/beta/gamma/"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            found = _stepped(lambda: _by_name(name), prefix, form)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NAMED)
def test_patterns_that_do_something_else_than_they_seem_to_are_warned_of_once(name):
    for patterns, message in [(["norm"], "'norm' matches no variable"), (["ern"], "1 kernels: beta_vae/kernel:0")]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            _stepped(lambda patterns=patterns: _by_name(name, patterns), "beta_vae/", "eager")
        (found,) = [str(w.message) for w in caught if "exclude_from" in str(w.message)]
        assert message in found and NAMED[name][0] in found
