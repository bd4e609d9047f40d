"""A local page on which saved models draw from one noise, side by side."""
