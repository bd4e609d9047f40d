"""Diffusion teachers as deterministic maps.

``noise_schedule``: noise levels of a saved scheduler · ``solvers`` of the probability-flow ODE, pure functions of a
denoiser and a time grid · ``teacher``: a network as a denoiser and as a velocity field.
"""
