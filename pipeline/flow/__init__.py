"""The maths of rectified flow, as pure functions.

``noise`` addressed by (seed, index) · ``paths`` between noise and sample · ``timesteps`` distributions of t ·
``losses`` with their weights by t · ``optimal_transport`` pairing within a batch · ``solvers`` of an ODE, and their
time grids.
"""
