"""The report: every measured cell as one table, headline numbers, figures and one self-contained HTML page.

Data flows one way: files that other stages wrote are read into ``results``, ``summary`` takes the headline numbers from
them, ``figures`` draws, ``page`` puts all of it on the page together with :mod:`provenance`. What every run shares is
here; what only runs on images or on points have is in ``images`` and ``points``, under equal names. :mod:`report`
chooses between the two. Nothing here measures anything.
"""
