from data import environment  # noqa: F401 (before TensorFlow)
