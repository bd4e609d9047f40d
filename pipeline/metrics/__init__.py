"""Measures of samples, of features of images, and of the fields that make them.

``row``, ``image_row``, ``point_row`` a measured cell of the few-step table. Images: ``features`` by ``classifier`` or
``inception``; ``moments``, ``frechet``, ``uncertainty``, ``kernel_distance``, ``neighbours`` of features. Points:
``points``. Fields: ``trajectories``, ``likelihood``, ``field_error`` against a closed form.
"""
