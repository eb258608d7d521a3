"""Why NIGT is slow to leave the laptop BERT's plateau: how weights grow, Σ η_t, loss by frequency (docs/why.md)."""
