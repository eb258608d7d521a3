"""What every program sets before TensorFlow is imported: data, trainers and scripts import this first."""

import os
import warnings

_GPUS = "CUDA_VISIBLE_DEVICES"
_hidden_here = _GPUS not in os.environ

for _name, _value in {
    "TF_USE_LEGACY_KERAS": "1",  # tf-models-official is written for tf_keras
    "TF_CPP_MIN_LOG_LEVEL": "3",
    _GPUS: "-1",  # TensorFlow trains on CPUs and TPUs here
    # TensorFlow leaves oneDNN off on processors without AVX-512, where it still makes the ResNet's step 1.7 × as fast.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}.items():
    os.environ.setdefault(_name, _value)
# tensorflow_hub, which tf-models-official imports, asks for it; no user can mend that.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")


def with_gpus() -> dict[str, str]:
    """The environment without what hides GPUs above: for a program that trains by JAX."""
    return {name: value for name, value in os.environ.items() if name != _GPUS or not _hidden_here}
