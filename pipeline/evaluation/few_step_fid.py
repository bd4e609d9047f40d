"""FID of a model in hand at one solver, for watching and choosing: what the sweep measures, without the rest."""

from __future__ import annotations

from dataclasses import dataclass

from accelerate.utils import gather_object

from pipeline.config.solver import SolverConfig
from pipeline.evaluation.reference import Reference
from pipeline.metrics.features import FeatureExtractor
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.models.sampler import Sampler
from pipeline.models.sampling import draw_images
from pipeline.system.progress import Progress


@dataclass(frozen=True)
class FewStepFid:
    """Fréchet distance of images drawn from the same noises every time.

    Attributes:
        extractor: Features.
        reference: What images are compared with.
        key: Stream of the noises, from :func:`pipeline.flow.noise.stream_key`.
        num_samples: Images.
        batch_size: Images per call of the network and of the features.
    """

    extractor: FeatureExtractor
    reference: Reference
    key: int
    num_samples: int
    batch_size: int

    def __call__(self, sampler: Sampler, solver: SolverConfig, progress: Progress | None = None) -> float:
        """Every process draws its share of the batches and returns the same; each batch advances ``progress``.

        Raises:
            StraightflowError: If an image or a feature is not finite.
        """
        accelerator = sampler.runtime.accelerator
        starts = range(0, self.num_samples, self.batch_size)
        parts: list[tuple[int, Moments]] = []
        for first in range(0, len(starts), accelerator.num_processes):
            own = first + accelerator.process_index
            # A process without a batch of its own repeats the last one: all must call a sharded network.
            start = starts[min(own, len(starts) - 1)]
            indices = range(start, min(start + self.batch_size, self.num_samples))
            images = draw_images(sampler, solver, self.key, indices)
            if own < len(starts):
                parts.append((start, moments_of(self.extractor.all(images, len(images)))))
            if progress is not None:
                progress.advance(min(accelerator.num_processes, len(starts) - first) * len(indices))
        ordered = sorted(gather_object(parts), key=lambda part: part[0])
        return self.reference.frechet.distance(merge_moments(moments for _, moments in ordered))

    def describe(self) -> str:
        """What the numbers are of, in one line."""
        return f"{self.extractor.name} features, {self.num_samples} samples, {self.reference.split} split as reference"
