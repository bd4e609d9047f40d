"""Distributions of points whose answer is known.

``distributions`` what there is to draw from · ``gaussian_mixture`` densities and velocity fields in closed form.
Models, couplings, training and solvers are those of images; only the sample's shape differs, (dim,).
"""
