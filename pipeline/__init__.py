"""Rectified-flow distillation: from a diffusion teacher to a one-step generator.

Vocabulary, used with exactly these meanings everywhere in the project:

``x_0``
    Noise at t = 0, float32: N(0, I), or for points any N(mean, std² I) that the flow is configured with
    (:mod:`pipeline.config.noise`). Shape (batch, channels, height, width) of images, (batch, dim) of points.
``x_1``
    Sample at t = 1, same shape: an image in [-1, 1], or a point.
``x_t``
    The point ``(1 - t) x_0 + t x_1`` (Liu et al. 2022, eq. 1). Training may take another path between the two,
    flow matching's conditional OT path (:mod:`pipeline.flow.paths`).
``velocity``
    dx_t/dt. On the straight line its regression target is ``x_1 - x_0``.
``nfe``
    Number of function evaluations: network calls per sample, counted as they happen, never inferred.
coupling
    A pair (x_0, x_1). Independent for plain flow matching, or paired by optimal transport within a batch; for reflow
    made by the deterministic ODE of a model: the teacher, a flow or an earlier student.
``round1``, ``round2``, …
    Students by reflow, in order. In the papers' counting a student of a deterministic teacher's couplings
    is a "2-rectified flow", so ``roundK`` after a diffusion teacher is the (K + 1)-rectified flow there.

Time runs from noise (0) to sample (1). diffusers runs the other way; :mod:`pipeline.models.student` is the only place
that knows it.

Data flows one way: ``stages/`` read the configuration and call ``pipeline/``; ``pipeline/`` never imports ``stages/``,
parses arguments or knows of DVC. Its packages are layers, see ``[tool.importlinter]`` in pyproject.toml.
"""
