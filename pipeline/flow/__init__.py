"""The maths of rectified flow: noise, paths, times, losses, optimal transport and ODE solvers, as pure functions."""
