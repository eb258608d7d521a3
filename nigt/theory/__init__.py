"""The paper's theory, measured: objectives with known constants, noise, the methods as printed, and their bounds.

NumPy only, and the methods step with nigt.reference, the oracle that the optimizer is tested on. Shapes: n replicates
lie along the first axis of every array of points, [n, d]; F's values and norms are [n].
"""
