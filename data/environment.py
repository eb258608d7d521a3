"""What every program sets before TensorFlow is imported: data, trainers and scripts import this first."""

import os
import warnings

for _name, _value in {
    "TF_USE_LEGACY_KERAS": "1",  # tf-models-official is written for tf_keras
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # else the first of a sweep's runs takes all of a GPU's memory
    # TensorFlow leaves oneDNN off on processors without AVX-512, where it still makes the ResNet's step 1.7 × as fast.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}.items():
    os.environ.setdefault(_name, _value)
# tensorflow_hub, which tf-models-official imports, asks for it; no user can mend that.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")


def hide_gpus() -> None:
    """For what promises digits, or says what a CPU does; before TensorFlow computes anything."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
