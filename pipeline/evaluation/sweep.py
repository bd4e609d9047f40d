"""The few-step sweep: every solver and step count of one model, from the same noise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from accelerate.utils import broadcast_object_list

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.solver import SolverConfig
from pipeline.evaluation.blocks import BlockMeasures, chunk_blocks, measure_block, parts_per_block
from pipeline.evaluation.cache_names import Machine, cell_inputs
from pipeline.evaluation.cells import Cell, CellCache, CellResult
from pipeline.evaluation.quality import measure_quality
from pipeline.evaluation.reference import Reference, feature_counts, num_images_kept
from pipeline.flow.noise import stream_key
from pipeline.flow.solvers import Solution
from pipeline.metrics.features import FeatureExtractor
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.neighbours import require_neighbours
from pipeline.metrics.row import samples_key
from pipeline.models.counted import NetworkCalls
from pipeline.models.sampler import Sampler
from pipeline.system.blocks import batches_of
from pipeline.system.code import NO_CODE
from pipeline.system.compute import NOTHING, Compute, total
from pipeline.system.errors import StraightflowError
from pipeline.system.gathering import gather_to_main
from pipeline.system.progress import Progress


@dataclass(frozen=True)
class Sweep:
    """Measurements of one model.

    Attributes:
        rows: For each solver and step count one by each kind of features and number of samples.
        images: The first images of each, uint8, (num, C, H, W), by :func:`pipeline.metrics.row.samples_key`.
        compute: Of the sampling of all cells, also of those measured before.
        decoding: Of the autoencoder for all cells; nothing where samples are images.
    """

    rows: tuple[ImageRow, ...]
    images: dict[str, np.ndarray]
    compute: Compute
    decoding: Compute


def sweep(
    sampler: Sampler,
    model: str,
    cells: Sequence[tuple[SolverConfig, int]],
    config: EvaluateConfig,
    references: Sequence[Reference],
    cache_folder: Path,
    *,
    code: Mapping[str, str] = NO_CODE,
) -> Sweep:
    """Measures a model at every solver and step count; cells in ``cache_folder`` are not measured again.

    Every process takes its share of each cell; all return the same.

    Args:
        sampler: The model.
        model: Its name in the rows.
        cells: Solver and number of samples of each cell.
        config: Settings of the evaluation.
        references: Statistics of the real images by each kind of features, the first for what is chosen.
        cache_folder: Folder of cached cells.
        code: Hashes of the code that measures, from :func:`pipeline.system.code.reached_code`.

    Raises:
        StraightflowError: If the model does not fit the reference or makes images that are not finite. Cells
            measured before stay.
    """
    wanted = [Cell(*item) for item in cells]
    for reference in references:
        reference.check(sampler.image_shape, config.num_samples)
        require_neighbours(config.num_samples, reference.num_images, config.neighbours.k)
    runtime = sampler.runtime
    machine = Machine(str(runtime.device.type), runtime.precision)
    measured_by = [(item.extractor, item.fingerprint) for item in references]
    cache = CellCache(cache_folder, cell_inputs(sampler.fingerprint, machine, measured_by, config, code))
    # All processes must agree on what is missing, so the main one decides.
    missing: list[Cell] = broadcast_object_list([[cell for cell in wanted if not cache.has(cell)]])[0]
    blocks_of = {cell: _blocks_of_process(sampler, cell, config) for cell in missing}
    num_images = sum(len(block) for own in blocks_of.values() for block in own)
    with Progress(f"evaluating {model}", num_images, "images", enabled=runtime.is_main and bool(missing)) as progress:
        if missing:
            batches = [
                batch for own in blocks_of.values() for block in own for batch in batches_of(block, config.batch_size)
            ]
            _warm_up(sampler, stream_key("evaluation", config.seed), missing[0].solver, batches)
        for cell in missing:
            calls_before, decoded_before = sampler.calls.copy(), sampler.decoded
            blocks = _generate(sampler, cell, config, [item.extractor for item in references], progress)
            # Blocks hold the time, of all processes.
            computes = gather_to_main([sampler.compute(calls_before, seconds=0.0)])
            decodings = gather_to_main([sampler.decoding(decoded_before, seconds=0.0)])
            if runtime.is_main:
                compute = total([*computes, Compute(0, 0, 0, sum(block.seconds for block in blocks))])
                decoding = total(decodings) if sampler.space.is_decoded else NOTHING
                cache.save(cell, *_result(blocks, references, config, compute, decoding))
    runtime.accelerator.wait_for_everyone()
    found = {cell: cache.load(cell) for cell in wanted}
    measured = {cell: item for cell, item in found.items() if item is not None}
    rows = [row for cell in wanted for row in _rows(model, cell, measured[cell][0], config.seed, references)]
    images = {samples_key(cell.solver.label, cell.solver.num_steps): measured[cell][1] for cell in wanted}
    results = [result for result, _ in measured.values()]
    return Sweep(tuple(rows), images, total(item.compute for item in results), total(item.decoding for item in results))


def _prepare(sampler: Sampler, key: int, indices: range, solver: SolverConfig) -> Callable[[], Solution]:
    """Draws the noise of a batch, which the CPU does, and places it; what it returns samples from it."""
    device = sampler.runtime.device
    x_0, labels = sampler.draw(key, indices)
    x_0, labels = x_0.to(device), None if labels is None else labels.to(device)
    return lambda: sampler.sample(x_0, solver, labels)


def _warm_up(sampler: Sampler, key: int, solver: SolverConfig, batches: Iterable[range]) -> None:
    """Samples once with every size of batch, so that no clock sees what a size costs only the first time.

    A network is compiled for each of them, whatever the solver, and a GPU loads its kernels. One step of a solver with
    fixed steps does. These calls measure nothing and are not counted.
    """
    sampler = replace(sampler, calls=NetworkCalls())
    once = solver.model_copy(update={"num_steps": 1, "grid": "uniform"}) if solver.num_steps is not None else solver
    of_size = {len(batch): batch for batch in batches}
    for batch in of_size.values():
        _prepare(sampler, key, batch, once)()


def _blocks_of_process(sampler: Sampler, cell: Cell, config: EvaluateConfig) -> list[range]:
    accelerator = sampler.runtime.accelerator
    blocks = [block for chunk in _chunks(cell, config) for block in chunk]
    return blocks[accelerator.process_index :: accelerator.num_processes]


def _chunks(cell: Cell, config: EvaluateConfig) -> list[list[range]]:
    return chunk_blocks(cell.num_samples, config.num_samples, config.batch_size)


def _generate(
    sampler: Sampler, cell: Cell, config: EvaluateConfig, extractors: Sequence[FeatureExtractor], progress: Progress
) -> list[BlockMeasures]:
    """All blocks of a cell in order, each generated by one process; the main process alone gets them."""
    key = stream_key("evaluation", config.seed)
    num_parts = parts_per_block(_chunks(cell, config)[0])
    measured = []
    own = _blocks_of_process(sampler, cell, config)
    try:
        for indices in own:
            measured.append(
                measure_block(
                    lambda batch: _prepare(sampler, key, batch, cell.solver),
                    indices,
                    extractors,
                    sampler.runtime.device,
                    decode=sampler.decode,
                    batch_size=config.batch_size,
                    num_parts=num_parts,
                    num_features_kept=max(feature_counts(config)),
                    num_images_kept=num_images_kept(config),
                )
            )
            progress.advance(len(indices), note=f"{cell.solver.label} {cell.solver.num_steps or ''}".strip())
    except StraightflowError as error:
        raise StraightflowError(
            expected=f"{error.expected} from {cell.solver.label} at {cell.solver.num_steps or 'adaptive'} steps",
            found=error.found,
            mend=error.mend,
        ) from error
    return sorted(gather_to_main(measured), key=lambda block: block.start)


def _result(
    blocks: Sequence[BlockMeasures],
    references: Sequence[Reference],
    config: EvaluateConfig,
    compute: Compute,
    decoding: Compute,
) -> tuple[CellResult, np.ndarray]:
    counts, evaluations = np.array([batch for block in blocks for batch in block.evaluations], float).T
    nfe = float(np.average(evaluations, weights=counts))
    peaks = [block.peak_memory_mib for block in blocks if block.peak_memory_mib is not None]
    by_chunk = itertools.groupby(blocks, key=lambda block: block.start // config.num_samples)
    result = CellResult(
        qualities=measure_quality([list(chunk) for _, chunk in by_chunk], references, config),
        nfe=nfe,
        nfe_std=float(np.sqrt(np.average(np.square(evaluations - nfe), weights=counts))),
        seconds_per_1000=1000 * sum(block.seconds for block in blocks) / float(counts.sum()),
        peak_memory_mib=max(peaks) if peaks else None,
        compute=compute,
        decoding=_with_seconds(decoding, blocks),
    )
    images = np.concatenate([block.images for block in blocks])[: config.grid_images]
    return result, images


def _with_seconds(decoding: Compute, blocks: Sequence[BlockMeasures]) -> Compute:
    """Blocks hold the time, of all processes; that of samples which are images is none."""
    seconds = sum(block.decoding_seconds for block in blocks)
    return replace(decoding, seconds=seconds) if decoding.samples_forward else decoding


def _rows(model: str, cell: Cell, result: CellResult, seed: int, references: Sequence[Reference]) -> Iterator[ImageRow]:
    for reference, qualities in zip(references, result.qualities, strict=True):
        for quality in qualities:
            yield ImageRow(
                model=model,
                solver=cell.solver.label,
                num_steps=cell.solver.num_steps,
                nfe=result.nfe,
                seed=seed,
                seconds_per_1000=result.seconds_per_1000,
                nfe_std=result.nfe_std,
                peak_memory_mib=result.peak_memory_mib,
                **reference.identity,
                **asdict(quality),
            )
