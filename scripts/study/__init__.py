"""The study: NIGT and its baselines, tuned alike at laptop scale (results/laptop/PROTOCOL.md)."""
