"""A Keras callback, so that `fit` and `evaluate` report what the iterate w reaches."""

from typing import Any

import tf_keras


class EvaluateAtIterate(tf_keras.callbacks.Callback):
    """Holds w in the model while it is evaluated: `fit`'s validation, and `evaluate(callbacks=[…])`.

    ```python
    model.fit(x, y, validation_data=(x_test, y_test), callbacks=[EvaluateAtIterate()])
    ```

    The optimizer is the model's, also under a LossScaleOptimizer; one without iterates (Adam, SGD) is left alone. An
    evaluation that was cut off (by Ctrl-C, say) leaves the model at w; the next `fit` or `evaluate` with a callback of
    this class gives x back first.
    """

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Gives x back, if an evaluation before was cut off."""
        self._leave()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """The model holds w from here …"""
        self._leave()
        optimizer = self._optimizer()
        if hasattr(optimizer, "hold_iterates"):
            optimizer.hold_iterates(self.model.trainable_variables)

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """… to here."""
        self._leave()

    def _leave(self) -> None:
        optimizer = self._optimizer()
        if hasattr(optimizer, "give_back"):
            optimizer.give_back()

    def _optimizer(self) -> Any:
        return getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
