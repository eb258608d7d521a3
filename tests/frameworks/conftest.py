"""Run in .venv/frameworks, which has no TensorFlow (`make test-full`)."""

import os
import warnings

# Before JAX's first use: float64, and two devices for sharded arrays.
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
warnings.filterwarnings("ignore", message="NIGT", category=UserWarning)
