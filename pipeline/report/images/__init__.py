"""The report of a run on images."""
