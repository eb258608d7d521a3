"""Run in .venv/frameworks, which has no TensorFlow; for nigt.keras on TensorFlow in .venv (`make test-full`)."""

import os
import warnings

# Before JAX's first use: float64, and two devices for sharded arrays.
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
warnings.filterwarnings("ignore", message="NIGT", category=UserWarning)

# Once for each backend of Keras, apart from the others' tests.
_KERAS = ["test_keras.py"]
_OTHERS = ["bench", "examples", "optax", "readme", "torch", "torch_distributed"]
collect_ignore = [f"test_{name}.py" for name in _OTHERS] if "KERAS_BACKEND" in os.environ else _KERAS
if os.environ.get("KERAS_BACKEND") == "tensorflow":
    import tensorflow as tf

    devices = [tf.config.LogicalDeviceConfiguration()] * 2  # for a strategy of two replicas
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
