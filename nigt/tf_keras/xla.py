"""Whether the code being traced will be compiled by XLA (TPUs, jit_compile=True)."""

import tensorflow as tf
from tf_keras.src.utils import control_flow_util


def compiled_by_xla() -> bool:
    """True inside `tf.function(jit_compile=True)` and under TPUStrategy; False in eager code and other functions."""
    if tf.executing_eagerly():
        return False
    return bool(control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))
