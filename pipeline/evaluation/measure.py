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
    """What samples of one space are measured with."""

    def couplings_row(self, round_name: str, store: CouplingStore) -> Row:
        """The row of a round's couplings, from as many pairs as models are measured with, if there are.

        Raises:
            StraightflowError: If the store's samples are not those that are measured here.
        """

    def evaluate(self, sampler: Sampler, model: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Measures the model called ``model`` with every configured solver and step count, from the same noise.

        Every process must call it; all return the same.

        Returns:
            Content of ``metrics/evaluate/<model>.json``: ``model``, its ``rows``, its ``trajectories``, and what else
            is measured in this space. Arrays of ``samples/<model>.safetensors``: samples of each cell, named by
            :func:`pipeline.metrics.row.samples_key`, and what else is to be drawn.

        Raises:
            StraightflowError: If the model's samples are not those that are measured here, or are not finite.
        """


def open_measure(
    config: Config, runtime: Runtime, folders: MeasuringFolders, *, code: Mapping[str, str] = NO_CODE
) -> Measure:
    """The measure of the configured data.

    Args:
        config: The run.
        runtime: What networks run on.
        folders: Of the run.
        code: What measures, see :func:`pipeline.system.code.reached_code`: what other code measured is measured anew.

    Raises:
        StraightflowError: If features or data are missing or out of reach.
    """
    # Either kind imports what it alone needs: loading both takes seconds.
    if space_of(config.data) is POINTS:
        from pipeline.evaluation.points import PointMeasure

        return PointMeasure(config)
    from pipeline.evaluation.images import open_image_measure

    return open_image_measure(config, runtime, folders, code)
