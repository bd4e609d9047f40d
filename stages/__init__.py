"""DVC stages: each reads the configuration, calls the library, writes its outputs."""

import gc

# Importing torch and diffusers makes a million objects and almost no garbage. Scanning them again and again costs a
# sixth of a stage's start; ``entry.run`` then freezes them, so that the collector ignores them for good.
gc.set_threshold(100_000, 10, 10)
