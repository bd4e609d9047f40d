"""Diffusion teachers as deterministic maps.

``noise_schedule`` the levels of noise of a saved scheduler · ``solvers`` of the probability-flow ODE, pure functions of
a denoiser and a grid · ``teacher`` a network as a denoiser and as a velocity field.
"""
