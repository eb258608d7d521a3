"""A Keras callback, so that `fit` and `evaluate` report what the iterate w reaches."""

from typing import Any

import tf_keras


class EvaluateAtIterate(tf_keras.callbacks.Callback):
    """Holds w in the model while it is evaluated: `fit`'s validation, and `evaluate(callbacks=[…])`.

    ```python
    model.fit(x, y, validation_data=(x_test, y_test), callbacks=[EvaluateAtIterate()])
    ```

    The optimizer is the model's, also under a LossScaleOptimizer; one without iterates (Adam, SGD) is left alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._entered: Any = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Gives x back, if an evaluation before was cut off by an exception."""
        self._leave()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """The model holds w from here …"""
        self._leave()
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if hasattr(optimizer, "evaluating"):
            self._entered = optimizer.evaluating(self.model.trainable_variables)
            self._entered.__enter__()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """… to here."""
        self._leave()

    def _leave(self) -> None:
        if self._entered is not None:
            entered, self._entered = self._entered, None
            entered.__exit__(None, None, None)
