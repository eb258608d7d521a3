"""What nigt.keras has of its own, on the backend that KERAS_BACKEND names: `fit`, files, callbacks, refusals."""

import os
import pathlib
import re

import keras
import numpy as np
import pytest
from keras import ops

from nigt import betas
from nigt.keras import NIGT, EvaluateAtIterate

BACKEND = os.environ["KERAS_BACKEND"]


pytestmark = pytest.mark.filterwarnings("ignore")
DATA = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
DATA = DATA, DATA[:, :2]


@pytest.fixture(autouse=True)
def _float32():
    before = keras.config.floatx()
    keras.config.set_floatx("float32")
    yield
    keras.config.set_floatx(before)


def _model(rate=0.01, **options):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, "tanh", name="bias_beta"), keras.layers.LayerNormalization(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.layers.Input((4,)), *layers])
    model.compile(NIGT(rate, excluded_learning_rate_multiplier=10, **options), "mse")
    return model


def _fit(model, epochs=2, **options):
    return model.fit(*DATA, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **options).history


def _values(model):
    return [np.array(v) for v in model.get_weights()]


def _w(optimizer):
    return [np.array(ops.convert_to_numpy(v)) for v in optimizer.iterates()]


def _same(a, b):
    return all(np.array_equal(u, v) for u, v in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model after two epochs that were validated at w, with its history, the best file and a backup."""
    folder = tmp_path_factory.mktemp("fit")
    keras.config.set_floatx("float32")
    model = _model(keras.optimizers.schedules.PolynomialDecay(0.01, 16, 0.0))
    best = keras.callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True)
    backup = keras.callbacks.BackupAndRestore(folder / "backup", delete_checkpoint=False)
    history = _fit(model, validation_data=DATA, callbacks=[backup, EvaluateAtIterate(), best])
    return model, history, folder


def test_fit_validates_and_keeps_w_and_trains_on_at_x(trained):
    model, history, folder = trained
    x, w = _values(model), _w(model.optimizer)
    assert history["loss"][1] < history["loss"][0] and not _same(x, w) and not model.optimizer.holds_iterates
    with model.optimizer.evaluating():
        assert _same(_values(model), w)
        np.testing.assert_allclose(model.evaluate(*DATA, verbose=0), history["val_loss"][-1], rtol=1e-6)
        with pytest.raises(RuntimeError, match=r"a step at w.*optimizer.train\(\)"):
            model.optimizer.apply([ops.zeros(v.shape) for v in model.trainable_variables])
        with pytest.raises(RuntimeError, match="a step at w"):  # compiled before, but on PyTorch
            _fit(model, 1)
        assert _same(_values(model), w)
        if BACKEND == "jax":  # the others refuse it before it is compiled
            model.train_on_batch(DATA[0][:16], DATA[1][:16])
            with pytest.raises(RuntimeError, match=r"1 step\(s\) at w were refused"):
                model.optimizer.train()
    assert _same(_values(model), x) and int(model.optimizer.skipped_steps.numpy()) == 0
    evaluated = model.evaluate(*DATA, verbose=0, callbacks=[EvaluateAtIterate()])
    np.testing.assert_allclose(evaluated, history["val_loss"][-1], rtol=1e-6)
    assert _same(_values(model), x)
    assert _same(_values(keras.models.load_model(folder / "best.keras")), w)


def test_files_saved_at_x_at_w_and_by_a_backup_go_on_alike(trained, tmp_path):
    model, _, folder = trained
    model.save(tmp_path / "x.keras")
    resumed = [keras.models.load_model(tmp_path / "x.keras"), keras.models.load_model(folder / "best.keras")]
    with pytest.raises(RuntimeError, match="a step at w"):
        _fit(resumed[1], 1)
    resumed[1].optimizer.train()
    backed = _model(keras.optimizers.schedules.PolynomialDecay(0.01, 16, 0.0))
    backup = keras.callbacks.BackupAndRestore(folder / "backup", delete_checkpoint=False)
    _fit(backed, 3, callbacks=[EvaluateAtIterate(), backup])
    expected = keras.models.load_model(tmp_path / "x.keras")
    for other in (expected, *resumed):
        _fit(other, 1)
    for other in (backed, *resumed):
        assert _same(_values(other), _values(expected)) and _same(_w(other.optimizer), _w(expected.optimizer))
    assert not _same(_values(expected), _values(model))


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_leaves_the_best_w_in_either_order(first):
    model = _model(0.3)  # grows: the first epoch is the best
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=0, restore_best_weights=True)
    seen = []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(_values(model)))
    others = [stopping, keep]
    history = _fit(model, 4, validation_data=DATA, callbacks=[*others, EvaluateAtIterate()] if first else
                   [EvaluateAtIterate(), *others])  # fmt: skip
    best = int(np.argmin(history["val_loss"]))
    assert best < len(seen) - 1 and _same(_values(model), seen[best]) and _same(_w(model.optimizer), seen[best])


def _steps(optimizer, variables, values):
    """Steps whose gradients have one value everywhere; on JAX compiled."""
    optimizer.build(variables)
    x, state = [v.value for v in variables], [v.value for v in optimizer.variables]
    if BACKEND == "jax":
        import jax

        step = jax.jit(
            lambda x, state, value: optimizer.stateless_apply(state, [value * ops.ones(v.shape) for v in x], x)
        )
        for value in values:
            x, state = step(x, state, value)
        for variable, value in zip([*variables, *optimizer.variables], [*x, *state], strict=True):
            variable.assign(value)
        return
    for value in values:
        optimizer.apply([value * ops.ones(v.shape) for v in variables])


def _dense():
    layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.RandomNormal(seed=1), name="bias_beta")
    layer.build((None, 4))
    return layer


def test_an_optimizer_from_a_config_steps_alike_by_every_call_and_skips_a_nan():
    one, other = _dense(), _dense()
    optimizer = NIGT(0.01, beta=betas.StartingAtFirstGradient(0.5), excluded_learning_rate_multiplier=10)
    copy = NIGT.from_config(optimizer.get_config())
    _steps(optimizer, one.trainable_variables, [1.0, float("nan"), 2.0])
    for value in (1.0, float("nan"), 2.0):
        copy.apply_gradients([(value * ops.ones(v.shape), v) for v in other.trainable_variables])
    for a, b in zip([*_values(one), *_w(optimizer)], [*_values(other), *_w(copy)], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    state, x = [v.value for v in copy.variables], [v.value for v in other.trainable_variables]
    assert _same(_w(copy), [ops.convert_to_numpy(v) for v in copy.stateless_iterates(state, x)])
    assert int(copy.skipped_steps.numpy()) == 1 and int(ops.convert_to_numpy(copy.iterations)) == 2
    assert optimizer._excluded == (False, True)  # by their own names, kernel and bias


def test_gradient_accumulation_takes_the_mean_and_skips_a_group_with_a_nan():
    one, other = _dense(), _dense()
    plain, several = NIGT(0.01), NIGT(0.01, gradient_accumulation_steps=2)
    _steps(plain, one.trainable_variables, [2.0, 2.0])
    _steps(several, other.trainable_variables, [1.0, 3.0, 1.0, float("nan"), 2.0, 2.0])
    for a, b in zip(_values(one), _values(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert int(ops.convert_to_numpy(several.iterations)) == 2


def test_mixed_precision_trains_under_a_loss_scale_and_validates_at_w():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = _model()
        history = _fit(model, validation_data=DATA, callbacks=[EvaluateAtIterate()])
    finally:
        keras.config.set_dtype_policy("float32")
    scaled = model.optimizer
    assert isinstance(scaled, keras.optimizers.LossScaleOptimizer) and history["loss"][1] < history["loss"][0]
    with scaled.inner_optimizer.evaluating():
        np.testing.assert_allclose(model.evaluate(*DATA, verbose=0), history["val_loss"][-1], rtol=1e-3)


def test_what_it_refuses_it_names():
    for arguments, message in [
        ({"adaptive": "algorithm2"}, 'adaptive="algorithm2" needs two gradients a step.*nigt.torch'),
        ({"beta": 1.0}, r"beta must be in \[0, 1\)"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"normalization": "layers"}, "normalization must be one of"),
        ({"use_ema": True}, "use_ema averages the gradient points"),
        ({"exclude_from_normalization": "bias"}, "sequence of regular expressions"),
    ]:
        with pytest.raises(ValueError, match=message):
            NIGT(1e-3, **arguments)
    with pytest.raises(ValueError, match="kernel is bfloat16: keep float32"):
        NIGT(1e-3).build([keras.Variable(np.ones((2, 2)), dtype="bfloat16", name="kernel")])
    with pytest.warns(UserWarning, match="kernel starts at 0"):
        NIGT(1e-3).build([keras.Variable(np.zeros((2, 2)), name="kernel")])
    with pytest.warns(UserWarning, match="makes the weights grow"):
        NIGT(keras.optimizers.schedules.ExponentialDecay(0.05, 10, 0.5))


def test_loaded_weights_are_gone_on_from_after_reset():
    model = _model()
    _fit(model, 1)
    model.set_weights([np.ones_like(v) for v in _values(model)])
    model.optimizer.reset()
    assert _same(_w(model.optimizer), [np.ones_like(v) for v in _values(model)])


def test_the_readmes_lines_train(tmp_path, monkeypatch):
    page = pathlib.Path(__file__).resolve().parent.parent.parent / "nigt" / "README.md"
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.S) if "nigt.keras" in code)
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    x, y = DATA
    exec(code, {"model": model, "loss": "mse", "x": x, "y": y, "held_out": DATA})  # noqa: S102
    assert _same(_values(keras.models.load_model("model.keras")), _w(model.optimizer))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_two_replicas_train_as_one_also_with_a_sparse_gradient():
    import tensorflow as tf

    def train(strategy):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            table, dense = keras.layers.Embedding(5, 3), keras.layers.Dense(1)
            model = keras.Sequential([keras.layers.Input((2,), dtype="int32"), table, keras.layers.Flatten(), dense])
            model.compile(NIGT(0.01, normalization="global", excluded_learning_rate_multiplier=10), "mse",
                          jit_compile=False)  # fmt: skip
        x = np.arange(16).reshape(8, 2) % 5
        model.fit(x, x[:, :1], batch_size=4, epochs=2, shuffle=False, verbose=0)
        return [*_values(model), *_w(model.optimizer)]

    several = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for a, b in zip(train(several), train(tf.distribute.get_strategy()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
