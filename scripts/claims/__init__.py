"""Every checkable claim of the paper, what shows it, and what was found (python -m scripts.claims, `make claims`)."""
