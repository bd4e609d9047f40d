"""The data: real images or points, checked, prepared, read and ordered.

``space`` what a sample is · ``image_source`` finds the images, in ``folder_images``, ``parquet_images``, ``hub_images``
or ``digits``, with their ``labels`` · ``check`` whether they are as configured · ``prepare`` with ``images`` and
``points`` from the source to a data set · ``sample_set`` reading it, ``labelled`` with classes · ``order`` which
samples a step sees · ``pixels`` between 8 bits and [-1, 1].
"""
