"""The report of a run on points."""
