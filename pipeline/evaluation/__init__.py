"""Measures models and couplings, with every solver and step count from the same noise.

Stages call :mod:`measure`, which uses :mod:`images` or :mod:`points`. Images: :mod:`blocks` generates and measures
consecutive images, the unit of parallel work; :mod:`reference` holds the statistics of real images; :mod:`quality`
turns moments and features into metrics; :mod:`cells` caches them; :mod:`sweep` measures every solver and step count of
a model; :mod:`few_step_fid` measures FID alone. Points: :mod:`point_sweep` does what :mod:`sweep` does for images.
"""
