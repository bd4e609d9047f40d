"""Toy distributions of points, for problems with known answers.

``distributions`` by name · ``gaussian_mixture``: densities and velocity fields in closed form. Models, couplings,
training and solvers are the same as for images; a sample has shape (dim,).
"""
