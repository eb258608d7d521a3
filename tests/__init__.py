from data import environment  # before TensorFlow

environment.hide_gpus()
