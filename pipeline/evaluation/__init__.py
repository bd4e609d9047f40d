"""Measuring models and couplings: every solver and step count from the same noise.

:mod:`measure` is what stages call, with :mod:`images` and :mod:`points` for the two kinds of samples. Images:
:mod:`blocks` generates and measures consecutive images, the unit of parallel work; :mod:`reference` holds what they are
compared with; :mod:`quality` turns moments and features into numbers; :mod:`cells` caches them; :mod:`sweep` is every
cell of a model; :mod:`few_step_fid` is FID alone. Points: :mod:`point_sweep` is every cell of a model.
"""
