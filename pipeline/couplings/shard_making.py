"""Making one shard: its pairs solved batch by batch, checked, measured, and put together as they are stored."""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np
import torch

from pipeline.config.couplings import CouplingsConfig
from pipeline.couplings.coupling_run import CouplingRun
from pipeline.couplings.manifest import shard_name
from pipeline.couplings.noise_normality import noise_normality
from pipeline.couplings.pair_measures import num_clipped, transport_costs
from pipeline.couplings.pairs import Pairs, drawn_ahead, pair_source
from pipeline.couplings.shard import IMAGES, LABELS, NOISE, STATES
from pipeline.couplings.states_measured import StatesMeasured
from pipeline.data.pixels import from_stored, to_stored
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress


def make_shard(run: CouplingRun, shard: int, progress: Progress) -> None:
    """Solves the pairs of a shard and writes it with its record.

    Raises:
        StraightflowError: If the sampler returns non-finite values, or the shard cannot be written; names the shard.
    """
    config = run.config
    source = pair_source(run.sampler, config, run.images, shard)
    indices = run.indices(shard)
    stored: dict[str, torch.Tensor] = {}
    costs, squared_errors, evaluations, clipped, squared_storage_error = [], [], 0, 0, 0.0
    states = StatesMeasured()
    calls_before, seconds = run.sampler.calls.copy(), 0.0
    chunks = [indices[start : start + config.batch_size] for start in range(0, len(indices), config.batch_size)]
    for chunk, initial in zip(chunks, drawn_ahead(source, chunks), strict=True):
        began = time.monotonic()
        pairs = source.solve(initial)
        seconds += time.monotonic() - began
        _require_finite(pairs, config, shard, chunk)
        images = to_stored(pairs.x_1, config.dtype)
        x_0, x_1 = pairs.x_0, from_stored(images)
        tensors = {IMAGES: images}
        if source.direction == "image_to_noise":
            tensors[NOISE] = pairs.x_0.half()
            x_0 = tensors[NOISE].float()
            squared_errors.append((x_0 - pairs.x_0).square().flatten())
        if pairs.labels is not None:
            tensors[LABELS] = pairs.labels.int()
        if pairs.states is not None:
            tensors[STATES] = pairs.states.z
            states.add(pairs.states, x_1)
        for name, values in tensors.items():
            if name not in stored:
                stored[name] = values.new_empty(len(indices), *values.shape[1:])
            stored[name][chunk.start - indices.start : chunk.stop - indices.start] = values
        costs.append(transport_costs(x_0, x_1))
        if run.sampler.space.is_bounded:
            clipped += num_clipped(pairs.x_1)
        if run.sampler.space.is_decoded:
            squared_storage_error += float((x_1 - pairs.x_1).double().square().sum())
        evaluations += pairs.nfe * len(chunk)
        progress.advance(len(chunk))
    noise = None
    if NOISE in stored:
        error = float(torch.cat(squared_errors).mean().sqrt())
        noise = asdict(noise_normality(stored[NOISE])) | {"float16_error": error}
    run.unfinished.write(
        shard,
        stored,
        evaluations=evaluations,
        clipped_fraction=clipped / stored[IMAGES].numel(),
        transport_costs=np.concatenate(costs),
        direction=source.direction,
        noise=noise,
        samples_forward=(run.sampler.calls - calls_before).forward,
        seconds=seconds,
        states=states.read(),
        storage_error=(squared_storage_error / stored[IMAGES].numel()) ** 0.5 if run.sampler.space.is_decoded else None,
    )


def _require_finite(pairs: Pairs, config: CouplingsConfig, shard: int, chunk: range) -> None:
    states = None if pairs.states is None else pairs.states.z
    for what, values in (("images", pairs.x_1), ("noise", pairs.x_0), ("states", states)):
        if values is not None and not torch.isfinite(values).all():
            raise StraightflowError(
                expected=f"finite {what} from {config.source}",
                found=f"NaN or infinity in shard {shard_name(shard)}, pairs {chunk.start} to {chunk.stop - 1}",
                mend="check the source model, or set compute.precision: fp32; finished shards are kept",
            )
