"""The report: every measured cell as one table, four figures and one self-contained HTML page.

Data flows one way: :mod:`results` and :mod:`samples` read what the other stages wrote, :mod:`summary` takes the
headline numbers from it, :mod:`figures` draws, :mod:`page` puts all of it on the page together with
:mod:`provenance`. Nothing here measures anything.
"""
