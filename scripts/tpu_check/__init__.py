"""Compiles the train steps for a TPU v3 core or an H100 without one: `make tpu-check`, `make gpu-check`.

Three processes a program. TensorFlow lowers the step that trainers.train would run to HLO (lowering.py); the device's
own compiler, in a virtual environment apart, compiles that and answers what it needs (compiler.py); __main__.py asks
both, and report.py writes what they said.
"""
