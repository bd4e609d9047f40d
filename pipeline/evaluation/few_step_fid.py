"""FID, without the other metrics, of a network in training or of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from accelerate.utils import broadcast_object_list

from pipeline.config.graph import Config
from pipeline.config.solver import SolverConfig
from pipeline.data.space import space_of_shape
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.evaluation.reference import Reference, open_run_references
from pipeline.metrics.image_row import FILE
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.models.sampling import draw_images
from pipeline.system.errors import StraightflowError
from pipeline.system.gathering import gather_to_main
from pipeline.system.progress import Progress


@dataclass(frozen=True)
class FewStepFid:
    """FID of images that are drawn from the same noise in every call.

    Attributes:
        reference: Statistics of the real images, by the features that things may be chosen by.
        key: Key of the noise, from :func:`pipeline.flow.noise.stream_key`.
        num_samples: Number of images.
        batch_size: Images per call of the network and of the features.
    """

    reference: Reference
    key: int
    num_samples: int
    batch_size: int

    def __call__(self, sampler: Sampler, solver: SolverConfig, progress: Progress | None = None) -> float:
        """FID of ``sampler`` with ``solver``; ``progress`` counts images.

        Every process must call it and draws its share of the batches; all return the same value.

        Batches are all of one shape, as a compiled network is compiled for every other one: the last is drawn whole,
        and what is beyond the number of images is left out.

        Raises:
            StraightflowError: If an image or a feature is not finite.
        """
        accelerator = sampler.runtime.accelerator
        batch_size = min(self.batch_size, self.num_samples)
        starts = range(0, self.num_samples, batch_size)
        parts: list[tuple[int, Moments]] = []
        for first in range(0, len(starts), accelerator.num_processes):
            number = first + accelerator.process_index
            # A process without a batch of its own repeats the last one: all must call a sharded network.
            start = starts[min(number, len(starts) - 1)]
            count = min(batch_size, self.num_samples - start)
            images = draw_images(sampler, solver, self.key, range(start, start + batch_size))[:count]
            if number < len(starts):
                parts.append((start, moments_of(self.reference.extractor.extract(torch.from_numpy(images)))))
            if progress is not None:
                progress.advance(min(accelerator.num_processes, len(starts) - first) * count)
        # Moments are large, and the distance takes long: the main process alone holds those of all.
        ordered = sorted(gather_to_main(parts), key=lambda part: part[0])
        found: list[float | None] = [None]
        if sampler.runtime.is_main:
            found = [self.reference.frechet.distance(merge_moments(moments for _, moments in ordered))]
        return float(broadcast_object_list(found)[0])

    def describe(self) -> str:
        """Features, number of samples and reference split in one line."""
        features, split = self.reference.extractor.name, self.reference.split
        against = "statistics of a file" if split == FILE else f"{split} split"
        return f"{features} features, {self.num_samples} samples, {against} as reference"


def open_few_step_fid(
    config: Config,
    runtime: Runtime,
    folders: MeasuringFolders,
    shape: tuple[int, ...],
    *,
    key: int,
    num_samples: int,
    batch_size: int,
    setting: str,
) -> FewStepFid:
    """FID by the configured features and reference.

    Args:
        config: Configuration of the run.
        runtime: What networks run on.
        folders: Folders of the run.
        shape: Shape of one sample.
        key: Key of the noise.
        num_samples: Number of images.
        batch_size: Images per call of the network and of the features.
        setting: Name of the setting that gives ``num_samples``, for the error message.

    Raises:
        StraightflowError: If the samples are not images, or do not fit the reference; if features or data are missing.
    """
    if not space_of_shape(shape).is_visual:
        raise StraightflowError(
            expected="images, for an FID", found=f"samples of shape {shape}", mend="name a model of images"
        )
    reference, *_ = open_run_references(config, runtime, folders)
    reference.check(shape, num_samples, setting)
    return FewStepFid(reference, key, num_samples, batch_size)
