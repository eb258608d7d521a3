"""The trainer's own step as files that train wherever XLA runs (docs/exported.md).

Three programs. export.py has TensorFlow lower the step (lowering.py, examples.py); programs.py, in the environment of
requirements/exported.txt, makes JAX's files of it; run.py trains from these, with jax, numpy and flatbuffers alone.
"""
