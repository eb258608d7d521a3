"""What is run besides one training: sweeps, studies, figures, TPUs, checks."""

from data import environment  # noqa: F401 (before TensorFlow)
