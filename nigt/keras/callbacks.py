"""A Keras callback, so that `fit` and `evaluate` report what the iterate w reaches, and other callbacks keep it."""

from collections.abc import Callable
from typing import Any

import keras

from nigt.keras.iterates import Iterates


class EvaluateAtIterate(keras.callbacks.Callback):
    """Holds w in the model while it is evaluated: `fit`'s validation, `evaluate` and `predict(callbacks=[…])`.

    ```python
    model.fit(x, y, validation_data=(x_test, y_test), callbacks=[EvaluateAtIterate()])
    ```

    In `fit` the model holds w from the validation on, until the next epoch begins or every `on_train_end` is done; so
    what ModelCheckpoint and EarlyStopping keep is what was validated, in either order of the callbacks. A file that is
    saved at w has x as well, and BackupAndRestore resumes exactly. In the middle of an epoch, and in one without
    validation, callbacks see x. Weights that a callback sets at the end of an epoch or of `fit` (EarlyStopping's best)
    stay, and training goes on from them with m forgotten.

    The optimizer is the model's, also under a LossScaleOptimizer; one without iterates (Adam, SGD) is left alone. Where
    w is held already an evaluation leaves it so.
    """

    def __init__(self) -> None:
        super().__init__()
        self._in_fit = self._leaves = False

    def set_model(self, model: Any) -> None:
        """A `fit` or an evaluation of its own begins."""
        super().set_model(model)
        self._in_fit = False

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keras puts its History after the callbacks that it was given: what it calls comes after theirs."""
        _call_after(self.model.history, "on_epoch_end", self._eval)
        _call_after(self.model.history, "on_train_end", self._train)
        self._in_fit = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """x comes back."""
        self._train()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """The model holds w from here …"""
        optimizer = self._optimizer()
        self._leaves = optimizer is not None and not optimizer.holds_iterates and not self._in_fit
        self._eval()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """… to here; in `fit` it stays."""
        if self._leaves:
            self._train()

    on_predict_begin, on_predict_end = on_test_begin, on_test_end

    def _eval(self) -> None:
        if optimizer := self._optimizer():
            optimizer.eval()

    def _train(self) -> None:
        if optimizer := self._optimizer():
            optimizer.train(keep_changes=True)

    def _optimizer(self) -> Iterates | None:
        optimizer = getattr(self.model, "optimizer", None)
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        return optimizer if isinstance(optimizer, Iterates) else None


def _call_after(history: Any, name: str, action: Callable[[], None]) -> None:
    before = getattr(history, name)

    def both(*arguments: Any, **keywords: Any) -> None:
        before(*arguments, **keywords)
        action()

    setattr(history, name, both)
