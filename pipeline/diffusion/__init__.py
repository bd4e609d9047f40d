"""Diffusion teachers as deterministic maps: their levels of noise, their solvers, their velocity."""
