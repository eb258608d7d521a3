"""Sweeps: a grid of bindings, one run a point, shared among workers (python -m scripts.sweep)."""
