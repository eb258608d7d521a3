"""Compiles the train steps for a TPU v3 core without one: `make tpu-check`.

Three processes a program. TensorFlow lowers the step that trainers.train would run to HLO (lowering.py); libtpu, in a
virtual environment of its own, compiles that for one v3 core and answers what it needs (compiler.py); __main__.py asks
both, and report.py writes what they said.
"""
