"""DVC stages: each reads the configuration, calls the library, writes its outputs."""

import gc

# Importing torch and diffusers makes a million objects and next to no garbage. Looking through them again and again
# costs a sixth of a stage's start; ``entry.run`` then takes them out of the collector's sight for good.
gc.set_threshold(100_000, 10, 10)
