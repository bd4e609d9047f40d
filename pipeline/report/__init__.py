"""The report: every measured cell as one table, headline numbers, figures and one self-contained HTML page.

Data flows one way: ``results`` reads the files of other stages, ``summary`` takes the headline numbers from them,
``figures`` draws, ``page`` renders all of it with :mod:`provenance`. Code for every kind of run is here; code for runs
on images or on points is in ``images`` and ``points``, under the same names, and :mod:`report` chooses between them.
Nothing here measures anything.
"""
