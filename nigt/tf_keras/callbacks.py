"""A Keras callback, so that `fit` and `evaluate` report what the iterate w reaches, and other callbacks keep it."""

from collections.abc import Callable
from typing import Any

import tf_keras

from nigt.tf_keras.iterates import changed_since, values_of


class EvaluateAtIterate(tf_keras.callbacks.Callback):
    """Holds w in the model while it is evaluated: `fit`'s validation, `evaluate` and `predict(callbacks=[…])`.

    ```python
    model.fit(x, y, validation_data=(x_test, y_test), callbacks=[EvaluateAtIterate()])
    ```

    In `fit` the model holds w until the `on_epoch_end` of every callback is done, so that what ModelCheckpoint and
    EarlyStopping keep is what was validated, in either order of the callbacks. Only BackupAndRestore saves x there, and
    resumes as if nothing had happened. Before the next epoch, and when `fit` ends, x comes back; in an epoch without
    validation, and in the middle of one, callbacks see x. Weights that a callback sets at the end of an epoch or of
    `fit` (EarlyStopping's best) stay, and training goes on from them with m forgotten.

    The optimizer is the model's, also under a LossScaleOptimizer; one without iterates (Adam, SGD) is left alone. Where
    w is held already, inside `evaluating` or at the end of an epoch, an evaluation leaves it so. One that was cut off
    (by Ctrl-C, say) leaves the model at w; the next `fit` with a callback of this class gives x back first.
    """

    def __init__(self) -> None:
        super().__init__()
        # Whether w stays when the evaluation ends; and what that is again after an evaluation inside a `fit`.
        self._stays = self._stays_in_fit = False
        self._epoch_end: list[Any] = []

    def set_model(self, model: Any) -> None:
        """A `fit` or an evaluation of its own begins. x comes back first, before another callback restores a backup."""
        super().set_model(model)
        self._stays = self._leave()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keras adds its History to the end of the list: what it calls comes after every other callback."""
        history = getattr(self.model, "history", None)
        if history is not None and not hasattr(history, "epoch"):  # not one that began before
            _call_after(history, "on_epoch_end", self._after_epoch)
            _call_after(history, "on_train_end", self._after_training)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """x comes back, if it has not yet; the evaluations to come are those of `fit`."""
        self._leave()
        self._stays = self._stays_in_fit = True
        self._epoch_end.clear()
        backup = getattr(self.model, "_training_state", None)  # BackupAndRestore's, made in its on_train_begin
        if backup is not None and "back_up" not in vars(backup):
            backup.back_up = self._at_x(backup.back_up)

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """The model holds w from here …"""
        self._hold()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """… to here, or, in `fit`, to the end of the epoch."""
        if not self._stays:
            self._leave()
        self._stays = self._stays_in_fit

    on_predict_begin, on_predict_end = on_test_begin, on_test_end

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """x comes back, if it has not yet."""
        self._leave()
        self._stays = self._stays_in_fit = False

    def _after_epoch(self) -> None:
        self._leave()
        if hasattr(self._optimizer(), "hold_iterates"):
            self._epoch_end[:] = values_of(self._optimizer().known_variables)

    def _after_training(self) -> None:
        if self._epoch_end:
            self._optimizer().reset(changed_since(self._epoch_end))
        self._epoch_end.clear()
        for name in ("on_epoch_end", "on_train_end"):
            vars(self.model.history).pop(name, None)

    def _at_x(self, save: Callable[..., None]) -> Callable[..., None]:
        def saves(*arguments: Any, **keywords: Any) -> None:
            held = self._leave()
            save(*arguments, **keywords)
            if held:
                self._hold()

        return saves

    def _hold(self) -> None:
        optimizer = self._optimizer()
        if hasattr(optimizer, "hold_iterates") and not optimizer.holds_iterates:
            optimizer.hold_iterates()

    def _leave(self) -> bool:
        """Whether w was held."""
        optimizer = self._optimizer()
        return hasattr(optimizer, "leave_iterates") and optimizer.leave_iterates()

    def _optimizer(self) -> Any:
        optimizer = getattr(self.model, "optimizer", None)
        return getattr(optimizer, "inner_optimizer", optimizer)


def _call_after(history: Any, name: str, action: Callable[[], None]) -> None:
    before = getattr(history, name)

    def both(*arguments: Any, **keywords: Any) -> None:
        before(*arguments, **keywords)
        action()

    setattr(history, name, both)
