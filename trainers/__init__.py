"""Training by tf-models-official, wired by gin."""

from data import environment  # noqa: F401 (before TensorFlow)
