"""Measuring models: every solver and step count from the same noise, divided over processes, cached cell by cell.

:mod:`stretches` generates and measures consecutive images, the unit of parallel work; :mod:`reference` holds what they
are compared with; :mod:`quality` turns moments and features into numbers; :mod:`cells` caches them; :mod:`sweep` is
the whole.
"""
