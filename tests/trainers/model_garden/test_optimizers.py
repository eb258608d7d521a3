"""The optimizers for comparisons: from a binding to steps that go downhill."""

import numpy as np
import pytest
import tensorflow as tf
from official.modeling.optimization import optimizer_factory

from trainers import gin_files

RATES = {"adamw": 0.1, "lars": 0.1, "lamb": 0.1, "adagrad": 1.0, "adafactor": 0.5}


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
    factory = optimizer_factory.OptimizerFactory(experiment.config.trainer.optimizer_config)
    optimizer = factory.build_optimizer(factory.build_learning_rate())
    kernel = tf.Variable(tf.fill((10, 10), 1.0) + tf.random.stateless_normal((10, 10), (1, 2)), name="kernel")
    bias = tf.Variable(tf.zeros(10), name="bias")
    first = float(tf.reduce_sum((kernel - 1) ** 2))
    for _ in range(200):
        optimizer.apply_gradients([(kernel - 1, kernel), (bias - 1, bias)])
    assert float(tf.reduce_sum((kernel - 1) ** 2)) < 0.5 * first and float(tf.reduce_sum(bias)) > 0
    assert np.isfinite(kernel.numpy()).all()
