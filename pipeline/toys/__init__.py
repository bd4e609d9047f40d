"""Problems whose answer is known: distributions of points, their exact fields, measures and figures.

``distributions`` what there is to draw from · ``gaussian_mixture`` densities and velocity fields in closed form.
Data, models, couplings, training and solvers are those of images; only the sample's shape differs, (dim,).
"""
