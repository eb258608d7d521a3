"""How large the weights are and how far a step moves them, of every variable (split "norms" of metrics.csv)."""

import tensorflow as tf
import tf_keras


class StepSizes:
    """‖w‖ and ‖w_t − w_{t−1}‖/‖w_{t−1}‖ of each trained variable, at the iterate w.

    Attributes:
      relative: The second, of the last step that was measured: a variable of shape (variables,), which belongs into the
        run's checkpoint, so that an evaluation after a restart has it.
    """

    def __init__(self, model: tf_keras.Model, optimizer: tf_keras.optimizers.Optimizer):
        self._variables, self._optimizer = model.trainable_variables, optimizer
        self._before: list[tf.Tensor] = []
        self.relative = tf.Variable(tf.zeros(len(self._variables)), trainable=False, name="relative_steps")

    def before_step(self) -> None:
        """Keeps w as it is."""
        self._before = [tf.identity(w) for w in self._iterates()]

    def after_step(self) -> None:
        """Measures the step since."""
        steps = [tf.norm(w - old) for w, old in zip(self._iterates(), self._before, strict=True)]
        sizes = [tf.norm(old) for old in self._before]
        self.relative.assign(tf.math.divide_no_nan(tf.stack(steps), tf.stack(sizes)))
        self._before = []

    def values(self) -> dict[str, float]:
        """ "norm/LAYER/kernel" and "relative_step/LAYER/kernel" of every variable, now and of the last step."""
        names = [variable.name.split(":")[0] for variable in self._variables]
        norms = {f"norm/{name}": float(tf.norm(w)) for name, w in zip(names, self._iterates(), strict=True)}
        steps = zip(names, self.relative.numpy(), strict=True)
        return norms | {f"relative_step/{name}": float(step) for name, step in steps}

    def _iterates(self) -> list[tf.Tensor]:
        if hasattr(self._optimizer, "iterates"):
            return self._optimizer.iterates(self._variables)
        return [tf.convert_to_tensor(variable) for variable in self._variables]
