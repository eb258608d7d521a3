"""EvaluateAtIterate beside Keras's own callbacks: what is kept is what was validated, and training is as without it."""

import itertools
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from nigt import NIGT, EvaluateAtIterate

layers, callbacks = tf_keras.layers, tf_keras.callbacks


def _data(seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(64, 6)).astype(np.float32)
    return x, np.tanh(x[:, :1] * x[:, 1:2]) + 0.3 * random.normal(size=(64, 1)).astype(np.float32)


TRAIN, TEST = _data(0), _data(1)


def _model(optimizer=None, **arguments):
    tf_keras.utils.set_random_seed(1)
    model = tf_keras.Sequential(
        [layers.Input((6,)), layers.Dense(16, "tanh"), layers.BatchNormalization(), layers.Dense(1)]
    )
    # Large steps, so that x and w, and one epoch and the next, differ well.
    optimizer = optimizer or NIGT(0.01, excluded_learning_rate_multiplier=5.0)
    model.compile(optimizer, "mse", **arguments)
    return model


def _fit(model, others, order=0, epochs=6, **arguments):
    """The history; order: at which place of the list EvaluateAtIterate stands."""
    others = list(others)
    others.insert(order, EvaluateAtIterate())
    settings = {"validation_data": TEST, "batch_size": 16, "shuffle": False, "verbose": 0} | arguments
    return model.fit(*TRAIN, epochs=epochs, callbacks=others, **settings).history


def _loss(model):
    return model.evaluate(*TEST, verbose=0)


def _loss_of_weights(file):
    model = _model()
    model.load_weights(file)
    return _loss(model)


def _state(model):
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def _assert_equal(states, others):
    for a, b in zip(states, others, strict=True):
        np.testing.assert_array_equal(a, b)


class AtTheEnd(callbacks.Callback):
    """Calls what it is given with the model at the end of every epoch."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def on_epoch_end(self, epoch, logs=None):
        self.action(self.model)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("file", ["w.weights.h5", "w-checkpoint"])
def test_the_best_weights_that_are_saved_are_those_that_were_validated(file, order, tmp_path):
    kept = callbacks.ModelCheckpoint(tmp_path / file, save_best_only=True, save_weights_only=True)
    history = _fit(_model(), [kept], order)
    np.testing.assert_allclose(_loss_of_weights(tmp_path / file), min(history["val_loss"]), rtol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("file", ["m{epoch}.keras", "m{epoch}.h5"])
def test_whole_models_that_are_saved_give_what_was_validated_and_go_on_from_it(file, order, tmp_path):
    history = _fit(_model(), [callbacks.ModelCheckpoint(str(tmp_path / file))], order, epochs=3)
    for epoch, logged in enumerate(history["val_loss"], 1):
        model = tf_keras.models.load_model(tmp_path / file.format(epoch=epoch))
        np.testing.assert_allclose(_loss(model), logged, rtol=1e-6)
        at_w = model.evaluate(*TEST, verbose=0, callbacks=[EvaluateAtIterate()])
        np.testing.assert_allclose(at_w, logged, rtol=1e-6)
        _fit(model, [], epochs=1)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("patience", [1, 100])  # stops early; does not
@pytest.mark.parametrize("frequency", [1, 2, 4])  # of 6 epochs the last is validated; it is; it is not
def test_early_stopping_restores_what_was_validated_and_training_takes_it_for_w(order, patience, frequency):
    stopping = callbacks.EarlyStopping(restore_best_weights=True, patience=patience)
    model = _model()
    history = _fit(model, [stopping], order, validation_freq=frequency)
    best = min(history["val_loss"])
    np.testing.assert_allclose(_loss(model), best, rtol=1e-6)
    _assert_equal(model.optimizer.iterates(model.trainable_variables), model.trainable_variables)
    # Nothing of the x or m of the interrupted training comes back.
    np.testing.assert_allclose(model.evaluate(*TEST, verbose=0, callbacks=[EvaluateAtIterate()]), best, rtol=1e-6)
    twin = _model()
    twin.set_weights(model.get_weights())
    for one in (model, twin):
        _fit(one, [], epochs=1)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
def test_the_last_epoch_may_be_the_best(order):
    model = _model()
    stopping = callbacks.EarlyStopping(restore_best_weights=True, mode="max")
    history = _fit(model, [stopping], order, epochs=1)
    np.testing.assert_allclose(_loss(model), history["val_loss"][0], rtol=1e-6)


def test_several_callbacks_in_every_order_keep_the_same_and_leave_the_training_alone(tmp_path):
    alone = _model()
    _fit(alone, [])
    without = _model()
    without.fit(*TRAIN, epochs=6, batch_size=16, shuffle=False, verbose=0)
    _assert_equal(_state(alone), _state(without))
    for number, order in enumerate(itertools.permutations(range(3))):
        files = [str(tmp_path / f"{number}-{name}") for name in ("best.h5", "last.keras", "logs")]
        others = [
            callbacks.ModelCheckpoint(files[0], save_best_only=True, save_weights_only=True),
            callbacks.ModelCheckpoint(files[1]),
            EvaluateAtIterate(),
        ]
        board, model = callbacks.TensorBoard(files[2], histogram_freq=3), _model()
        history = model.fit(
            *TRAIN, 16, 6, 0, [board, *(others[place] for place in order)], validation_data=TEST, shuffle=False
        )
        _assert_equal(_state(alone), _state(model))
        np.testing.assert_allclose(_loss_of_weights(files[0]), min(history.history["val_loss"]), rtol=1e-6)
        loaded = tf_keras.models.load_model(files[1])
        np.testing.assert_allclose(_loss(loaded), history.history["val_loss"][-1], rtol=1e-6)
        assert "on_train_end" not in vars(history)
    assert pickle.dumps(history)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("frequency", ["epoch", 3, 4])
@pytest.mark.parametrize("cut_off_at", ["test", "epoch"])
def test_a_backup_resumes_exactly(order, frequency, cut_off_at, tmp_path):
    """In a fresh process, and in the same one, whose model still holds w when the backup is restored."""

    class CutOff(callbacks.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_test_end(self, logs=None):
            if cut_off_at == "test" and self.epoch == 2:
                raise KeyboardInterrupt

        def on_epoch_end(self, epoch, logs=None):
            if cut_off_at == "epoch" and epoch == 2:
                raise KeyboardInterrupt

    whole = _model()
    logged = _fit(whole, [])["val_loss"]
    models = {}
    for kind in ("fresh", "same"):
        backup = {"backup_dir": str(tmp_path / kind), "save_freq": frequency}
        model = _model()
        with pytest.raises(KeyboardInterrupt):
            _fit(model, [callbacks.BackupAndRestore(**backup), CutOff()], order)
        assert model.optimizer.holds_iterates
        models[kind] = model if kind == "same" else _model()
        history = _fit(models[kind], [callbacks.BackupAndRestore(**backup)], order)
        np.testing.assert_allclose(history["val_loss"][-3:], logged[-3:], rtol=1e-6)
        _assert_equal(_state(whole), _state(models[kind]))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_backup_beside_early_stopping(order, tmp_path):
    others = [
        callbacks.EarlyStopping(restore_best_weights=True, patience=1),
        callbacks.BackupAndRestore(str(tmp_path / "b"), delete_checkpoint=False),
    ]
    model = _model()
    history = _fit(model, others, order)
    np.testing.assert_allclose(_loss(model), min(history["val_loss"]), rtol=1e-6)


def test_a_fit_that_goes_on_is_one_fit(tmp_path):
    whole, parts = _model(), _model()
    logged = _fit(whole, [])["val_loss"]
    kept = callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.h5"), save_weights_only=True)
    again = _fit(parts, [kept], epochs=3)["val_loss"] + _fit(parts, [kept], epochs=6, initial_epoch=3)["val_loss"]
    assert logged == again
    _assert_equal(_state(whole), _state(parts))
    for epoch, loss in enumerate(logged, 1):
        np.testing.assert_allclose(_loss_of_weights(tmp_path / f"{epoch}.h5"), loss, rtol=1e-6)


def test_a_save_in_the_middle_of_an_epoch_is_of_x_and_knows_w(tmp_path):
    whole = _model()
    _fit(whole, [], epochs=2)
    _fit(_model(), [callbacks.ModelCheckpoint(str(tmp_path / "m.keras"), save_freq=6)], epochs=2)  # at step 6 of 8
    model = tf_keras.models.load_model(tmp_path / "m.keras")
    assert int(model.optimizer.iterations) == 6
    model.fit(TRAIN[0][32:], TRAIN[1][32:], 16, shuffle=False, verbose=0)
    _assert_equal([v.numpy() for v in model.trainable_variables], [v.numpy() for v in whole.trainable_variables])


@pytest.mark.parametrize("order", [0, 1])
def test_schedules_of_the_rate_are_followed(order):
    weights = []
    for mine in ([], [EvaluateAtIterate()]):
        others = [
            callbacks.LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch)),
            callbacks.ReduceLROnPlateau("loss", patience=1),
        ]
        model = _model()
        model.fit(*TRAIN, 16, 4, 0, mine + others if order else others + mine, validation_data=TEST, shuffle=False)
        weights.append(_state(model))
    _assert_equal(*weights)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("same", [True, False])
def test_an_evaluation_inside_fit_leaves_the_end_of_the_epoch_at_w(order, same, tmp_path):
    mine, losses, predictions = EvaluateAtIterate(), [], []

    def evaluates(model):
        own = [mine if same else EvaluateAtIterate()]
        losses.append(model.evaluate(*TEST, verbose=0, callbacks=own))
        predictions.append(model.predict(TEST[0], verbose=0, callbacks=own))

    class InTheMiddle(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                before = self.model.get_weights()
                evaluates(self.model)
                losses.pop(), predictions.pop()
                _assert_equal(before, self.model.get_weights())

    kept = callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.h5"), save_weights_only=True)
    others = [InTheMiddle(), AtTheEnd(evaluates), kept]
    model = _model()
    both = [mine, *others] if order else [*others, mine]
    logged = model.fit(*TRAIN, 16, 3, 0, both, validation_data=TEST, shuffle=False).history["val_loss"]
    np.testing.assert_allclose(losses, logged, rtol=1e-6)
    for epoch, (loss, prediction) in enumerate(zip(logged, predictions, strict=True), 1):
        np.testing.assert_allclose(_loss_of_weights(tmp_path / f"{epoch}.h5"), loss, rtol=1e-6)
        np.testing.assert_allclose(np.mean((prediction - TEST[1]) ** 2), loss, rtol=1e-5)
    whole = _model()
    _fit(whole, [], epochs=3)
    _assert_equal(_state(whole), _state(model))


def test_an_evaluationholds_iterates_leaves_w_there():
    model = _model()
    _fit(model, [], epochs=2)
    before = _state(model)
    with model.optimizer.evaluating(model.trainable_variables):
        inside = _state(model)
        model.evaluate(*TEST, verbose=0, callbacks=[EvaluateAtIterate()])
        model.predict(TEST[0], verbose=0, callbacks=[EvaluateAtIterate()])
        _assert_equal(inside, _state(model))
        with pytest.raises(Exception, match="inside `evaluating`"):
            _fit(model, [])
    _assert_equal(before, _state(model))


def test_weights_that_are_set_at_the_end_of_an_epoch_stay_whatever_was_frozen():
    """A layer that is frozen has the same w before and after; it must not fall back to its x."""
    model = _model()
    _fit(model, [], epochs=1)
    model.layers[0].trainable = False
    model.compile(model.optimizer, "mse")
    start = _fit(model, [], epochs=1)["val_loss"][0]
    saved = []

    class Back(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                saved.extend(self.model.get_weights())
            if epoch == 2:
                self.model.set_weights(saved)
                self.model.stop_training = True

    history = _fit(model, [Back()])["val_loss"]
    assert len(history) == 3 and start != history[0]
    _assert_equal(saved, model.get_weights())
    np.testing.assert_allclose(_loss(model), history[0], rtol=1e-6)


def test_an_exception_of_another_callback_at_the_end_of_an_epoch_costs_nothing():
    whole, model = _model(), _model()
    _fit(whole, [], epochs=2)

    def fails(model):
        raise OSError

    with pytest.raises(OSError):
        _fit(model, [AtTheEnd(fails)], epochs=1)
    assert model.optimizer.holds_iterates
    _fit(model, [], epochs=2, initial_epoch=1)
    _assert_equal(_state(whole), _state(model))


def test_callbacks_that_are_called_by_hand():
    model = _model()
    _fit(model, [], epochs=1)
    before = _state(model)
    run = callbacks.CallbackList([EvaluateAtIterate()], model=model)
    for _ in range(2):
        run.on_test_begin()
        assert model.optimizer.holds_iterates
        run.on_test_end()
        _assert_equal(before, _state(model))
    callbacks.CallbackList([EvaluateAtIterate()], model=tf_keras.Sequential([layers.Dense(1)]))  # not compiled


@pytest.mark.parametrize(
    "arguments", [{"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 4}], ids=str
)
def test_every_form_of_fit(arguments, tmp_path):
    kept = callbacks.ModelCheckpoint(tmp_path / "w.h5", save_best_only=True, save_weights_only=True)
    model = _model(**arguments)
    history = _fit(model, [kept, callbacks.EarlyStopping(restore_best_weights=True)], 2, epochs=3)
    np.testing.assert_allclose(_loss_of_weights(tmp_path / "w.h5"), min(history["val_loss"]), rtol=1e-5)
    np.testing.assert_allclose(_loss(model), min(history["val_loss"]), rtol=1e-5)


def test_under_a_strategy_and_a_loss_scale(tmp_path):
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.HierarchicalCopyAllReduce()).scope():
            model = _model()
        file = tmp_path / "w.h5"
        history = _fit(model, [callbacks.ModelCheckpoint(file, save_best_only=True, save_weights_only=True)], epochs=3)
        np.testing.assert_allclose(_loss_of_weights(file), min(history["val_loss"]), rtol=1e-2)
        kept = [v.numpy() for v in model.trainable_variables]
        _fit(model, [callbacks.EarlyStopping(restore_best_weights=True)], epochs=3)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    optimizer = model.optimizer.inner_optimizer
    _assert_equal(optimizer.iterates(model.trainable_variables), model.trainable_variables)
    assert any(np.any(a != v.numpy()) for a, v in zip(kept, model.trainable_variables, strict=True))


def test_other_optimizers_are_left_alone(tmp_path):
    model = _model("adam")
    history = _fit(model, [callbacks.EarlyStopping(restore_best_weights=True), callbacks.BackupAndRestore(tmp_path)])
    np.testing.assert_allclose(_loss(model), min(history["val_loss"]), rtol=1e-6)
