"""The report of a run on images: FIDs by steps and seconds, samples, straightness, losses."""
