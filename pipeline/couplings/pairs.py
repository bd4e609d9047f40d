"""Where the pairs of a shard come from: noise taken to images, or real images taken to noise.

Both are functions of the pair's index in the store, so any worker can make any shard, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from pipeline.config.couplings import CouplingsConfig, inversion_problem
from pipeline.config.solver import SolverConfig
from pipeline.couplings.manifest import Direction
from pipeline.data.order import EndlessOrder
from pipeline.data.sample_set import SampleSet
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.states import States
from pipeline.models.sampler import Sampler
from pipeline.system.copies import on_device
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class Pairs:
    """Pairs as they were solved, on the device that solved them.

    Attributes:
        x_0: Float32, (batch, channels, height, width).
        x_1: The same, not clipped.
        labels: Classes, int64, (batch,), on the CPU; None where the source has none.
        nfe: Network calls per pair.
        states: Between noise and image; None where none are kept.
    """

    x_0: torch.Tensor
    x_1: torch.Tensor
    labels: torch.Tensor | None
    nfe: int
    states: States | None = None


@dataclass(frozen=True)
class InitialState:
    """What the ODE of some pairs starts from.

    Attributes:
        noise: Noise of each pair, (batch, channels, height, width).
        x_1: Real images to invert to noise; None where the ODE starts from noise.
        labels: Classes, int64, (batch,); None where there are none.
    """

    noise: torch.Tensor
    x_1: torch.Tensor | None
    labels: torch.Tensor | None


class PairSource(Protocol):
    """Pairs addressed by their index in the store."""

    @property
    def direction(self) -> Direction:
        """Direction in which the ODE is solved."""

    def initial_state(self, indices: range) -> InitialState:
        """What the ODE of these pairs starts from; no network is called, so that it can be drawn ahead."""

    def solve(self, initial: InitialState) -> Pairs:
        """The pairs."""


@dataclass(frozen=True)
class FromNoise:
    """Pair i's noise is a function of the store's seed and i; its image is what the sampler makes of it."""

    sampler: Sampler
    seed: int
    solver: SolverConfig
    keep_states: bool = False

    @property
    def direction(self) -> Direction:
        """From noise to image."""
        return "noise_to_image"

    def initial_state(self, indices: range) -> InitialState:
        """Noise and classes."""
        key = stream_key("couplings", self.seed)
        x_0, labels = self.sampler.draw(key, indices)
        return InitialState(x_0, None, labels)

    def solve(self, initial: InitialState) -> Pairs:
        """Takes noise to images."""
        x_0 = on_device(initial.noise, self.sampler.runtime.device)
        if not self.keep_states:
            solution = self.sampler.sample(x_0, self.solver, initial.labels)
            return Pairs(x_0, solution.x.float(), initial.labels, solution.nfe)
        solution = self.sampler.sample(x_0, self.solver, initial.labels, keep_states=True)
        assert solution.states is not None  # asked for
        return Pairs(x_0, solution.x.float(), initial.labels, solution.nfe, solution.states)


@dataclass(frozen=True)
class FromImages:
    """Pair i's image is a real one; its noise is what the sampler inverts it to.

    Images are visited in an order permuted by the store's seed, each once before any comes again. The noise added to
    each at the start (:mod:`pipeline.models.inversion`) is a function of the seed and i.
    """

    sampler: Sampler
    seed: int
    solver: SolverConfig
    real: SampleSet
    order: EndlessOrder
    first: int

    @property
    def direction(self) -> Direction:
        """From image to noise."""
        return "image_to_noise"

    def initial_state(self, indices: range) -> InitialState:
        """Images, their classes, and the noise added to each at the start."""
        chosen = self.order(np.array(indices) - self.first)
        x_1 = self.real.load(chosen)["x_1"]
        image_noise = inversion_noise(self.sampler, self.seed, indices)
        labels = None
        if self.sampler.num_classes is not None and self.real.labels is not None:
            labels = torch.from_numpy(self.real.labels[chosen]).long()
        return InitialState(image_noise, x_1, labels)

    def solve(self, initial: InitialState) -> Pairs:
        """Takes images to noise."""
        assert initial.x_1 is not None  # initial_state put it there
        x_1 = on_device(initial.x_1, self.sampler.runtime.device)
        image_noise = on_device(initial.noise, self.sampler.runtime.device)
        solution = self.sampler.invert(x_1, image_noise, self.solver, initial.labels)
        return Pairs(solution.x.float(), x_1, initial.labels, solution.nfe)


def inversion_noise(sampler: Sampler, seed: int, indices: Iterable[int]) -> torch.Tensor:
    """The noise added to the images of these pairs before they are inverted, (len(indices), …)."""
    return sample_noise(stream_key("inversion", seed), indices, sampler.shape, sampler.noise)


def pair_sources(sampler: Sampler, config: CouplingsConfig, real: SampleSet | None) -> Callable[[int], PairSource]:
    """The source of each shard's pairs, by its number: the last shards are those made from images.

    Raises:
        StraightflowError: If images are to be inverted and there are none, or none that fit the sampler.
    """
    from_noise = FromNoise(sampler, config.seed, config.solver, config.states)
    inversion = config.image_to_noise
    if inversion is None:
        return lambda _: from_noise
    if real is None or real.shape != sampler.shape:
        raise StraightflowError(
            expected=f"images of {sampler.shape} to invert to noise, as couplings.image_to_noise asks for",
            found="none" if real is None else f"images of {real.shape}",
            mend="correct data, or set image_to_noise: null",
        )
    problem = inversion_problem(sampler.num_conditions, 0 if real.labels is None else int(real.labels.max()) + 1)
    if problem is not None:
        raise StraightflowError(
            expected=f"images that {config.source} can invert to noise",
            found=problem,
            mend="change data, or image_to_noise",
        )
    first = config.num_pairs - config.num_inverted_pairs
    order = EndlessOrder(config.seed, len(real))
    from_images = FromImages(sampler, config.seed, inversion.solver, real, order, first)
    return lambda shard: from_noise if shard * config.shard_pairs < first else from_images


def drawn_ahead(batches: Iterable[tuple[PairSource, range]]) -> Generator[InitialState, None, None]:
    """The initial states of ``batches``, each drawn in a thread while the one before it is solved."""
    with ThreadPoolExecutor(1) as thread:
        following: Future[InitialState] | None = None
        for source, indices in batches:
            drawn, following = following, thread.submit(source.initial_state, indices)
            if drawn is not None:
                yield drawn.result()
        if following is not None:
            yield following.result()
