"""Metrics of samples, of image features, and of velocity fields.

``row``, ``image_row``, ``point_row``: a measured cell (model, solver, steps) of the few-step table. Images:
``features`` from ``trained_features``, ``inception`` or ``dinov2``; ``moments``, ``frechet``, ``uncertainty``,
``kernel_distance``, ``neighbours`` of features. Points: ``points``. Fields: ``trajectories``, ``likelihood``,
``field_error``.
"""
