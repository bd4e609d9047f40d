"""The data: real images or points, checked, prepared, read and ordered.

``space`` what a sample is · ``check`` whether the source is there · ``prepare`` with ``images`` and ``points`` from the
source to a data set · ``sample_set`` reading it · ``order`` which samples a step sees · ``pixels`` 8 bits and [-1, 1].
"""
