"""Names of the models that every run has or may have, and that no other model of a run takes."""

from __future__ import annotations

TEACHER = "teacher"
AUTOENCODER = "autoencoder"
RESERVED = (TEACHER, "classifier", AUTOENCODER)
