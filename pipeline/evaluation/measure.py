"""Measures the models and couplings of a run, on images or on points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from pipeline.config.graph import Config
from pipeline.couplings.store import CouplingStore
from pipeline.data.space import POINTS, space_of
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.metrics.row import Row
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.code import NO_CODE


class Measure(Protocol):
    """How samples of one kind, images or points, are measured."""

    def couplings_rows(self, name: str, store: CouplingStore, source: Sampler) -> tuple[Row, ...]:
        """The rows of couplings, measured in the same way as a model's; latents as ``source`` decodes them.

        Raises:
            StraightflowError: If the store's samples do not fit the reference.
        """

    def evaluate(self, sampler: Sampler, model: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Measures the model called ``model`` with every configured solver and step count, from the same noise.

        Every process must call it; all return the same.

        Returns:
            Content of ``metrics/evaluate/<model>.json``: ``model``, its ``rows``, its ``trajectories``, the ``compute``
            of both (:class:`pipeline.system.compute.Compute`), the ``decoding`` of latents, and what is measured of
            this kind of samples alone.
            Arrays of ``samples/<model>.safetensors``: samples of each cell, named by
            :func:`pipeline.metrics.row.samples_key`, and other arrays for figures.

        Raises:
            StraightflowError: If the model's samples do not fit the reference, or are not finite.
        """


def open_measure(
    config: Config, runtime: Runtime, folders: MeasuringFolders, *, code: Mapping[str, str] = NO_CODE
) -> Measure:
    """The measure of the configured data.

    Args:
        config: Configuration of the run.
        runtime: What networks run on.
        folders: Folders of the run.
        code: Hashes of the code that measures, from :func:`pipeline.system.code.reached_code`; results of other code
            are measured again.

    Raises:
        StraightflowError: If features or data are missing or cannot be downloaded.
    """
    # Only the kind that is needed is imported: importing both takes seconds.
    if space_of(config.data) is POINTS:
        from pipeline.evaluation.points import PointMeasure

        return PointMeasure(config)
    from pipeline.evaluation.images import open_image_measure

    return open_image_measure(config, runtime, folders, code)
