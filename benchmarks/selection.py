"""Noise and FID of benchmarks that settings are chosen by: from a stream that no evaluation draws from."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.graph import Config
from pipeline.evaluation.few_step_fid import FewStepFid, open_few_step_fid
from pipeline.flow.noise import stream_key
from pipeline.models.runtime import Runtime
from stages import paths


def selection_key(seed: int) -> int:
    """Key of the noises; what is chosen for a set of noises scores better on it than on others."""
    return stream_key("selection", seed)


def open_selection_fid(
    config: Config, runtime: Runtime, run: Path, shape: tuple[int, ...], *, num_samples: int, seed: int
) -> FewStepFid:
    """FID by the features and the reference of a finished run.

    Args:
        config: Of the run.
        runtime: What networks run on.
        run: Folder of the run, with its images and classifier.
        shape: Of one sample.
        num_samples: Images per FID.
        seed: Of their noises.

    Raises:
        StraightflowError: See :func:`pipeline.evaluation.few_step_fid.open_few_step_fid`.
    """
    return open_few_step_fid(
        config,
        runtime,
        paths.measuring(run),
        shape,
        key=selection_key(seed),
        num_samples=num_samples,
        batch_size=config.evaluate.batch_size,
        setting="--num-samples",
    )
