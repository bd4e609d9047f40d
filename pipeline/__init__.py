"""Rectified-flow distillation: from a diffusion teacher to a one-step generator.

Vocabulary, used with exactly these meanings everywhere in the project:

``x_0``
    Noise, N(0, I), at t = 0. Shape (batch, channels, height, width), float32.
``x_1``
    Image at t = 1. Same shape, range [-1, 1].
``x_t``
    The point ``(1 - t) x_0 + t x_1`` (Liu et al. 2022, eq. 1).
``velocity``
    dx_t/dt. Its regression target is ``x_1 - x_0``.
``nfe``
    Number of function evaluations: network calls per image, counted as they happen, never inferred.
coupling
    A pair (x_0, x_1). Independent for plain flow matching; made by a teacher's or a student's
    deterministic ODE for reflow.
``round1``, ``round2``, …
    Students in the order of their training. ``round1`` learns the teacher's couplings. In the
    papers' counting a student of a deterministic teacher's couplings is a "2-rectified flow", so
    ``roundK`` here is the (K + 1)-rectified flow there.

Time runs from noise (0) to image (1). diffusers runs the other way; :mod:`pipeline.models.student` is the
only place that knows it.

Data flows one way: ``stages/`` read the configuration and call ``pipeline/``; ``pipeline/`` never
imports ``stages/``, parses arguments or knows of DVC.
"""
