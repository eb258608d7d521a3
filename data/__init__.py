"""Corpora and images, to the TFRecords that the trainers read."""

from data import environment  # noqa: F401 (before TensorFlow)
