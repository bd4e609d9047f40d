"""The maths of rectified flow, as pure functions.

``noise`` as a function of (seed, index) · ``paths`` between noise and sample · ``timesteps``: distributions of t ·
``losses`` and their weights by t · ``optimal_transport``: pairing within a batch · ``solvers`` of an ODE and their
time grids.
"""
