"""TensorFlow's functions by NumPy's names, for what nigt shares among frameworks (nigt/update.py, nigt/norms.py)."""

import tensorflow as tf

abs, ones_like, sqrt, square, where = tf.abs, tf.ones_like, tf.sqrt, tf.square, tf.where
isfinite, isnan, minimum, sum = tf.math.is_finite, tf.math.is_nan, tf.minimum, tf.reduce_sum
