"""The report of a run on points: distances by steps, trajectories, densities, and velocities in one dimension."""
