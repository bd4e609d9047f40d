"""The few-step sweep: every solver and step count of one model, from the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from accelerate.utils import broadcast_object_list, gather_object

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.solver import SolverConfig
from pipeline.evaluation.blocks import BlockMeasures, batches_of, measure_block, parts_per_block, sample_blocks
from pipeline.evaluation.cells import Cell, CellCache, CellResult
from pipeline.evaluation.quality import measure_quality
from pipeline.evaluation.reference import Reference, feature_counts, num_images_kept
from pipeline.flow.noise import stream_key
from pipeline.flow.solvers import Solution
from pipeline.metrics.features import FeatureExtractor
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.neighbours import require_neighbours
from pipeline.metrics.row import samples_key
from pipeline.models.sampler import Sampler
from pipeline.system.code import NO_CODE
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress


@dataclass(frozen=True)
class Sweep:
    """Measurements of one model.

    Attributes:
        rows: One for each solver and step count.
        images: The first images of each, uint8, (num, C, H, W), by :func:`pipeline.metrics.row.samples_key`.
    """

    rows: tuple[ImageRow, ...]
    images: dict[str, np.ndarray]


def sweep(
    sampler: Sampler,
    model: str,
    config: EvaluateConfig,
    extractor: FeatureExtractor,
    reference: Reference,
    cache_folder: Path,
    *,
    code: Mapping[str, str] = NO_CODE,
) -> Sweep:
    """Measures a model at every solver and step count; cells in ``cache_folder`` are not measured again.

    Every process takes its share of each cell; all return the same.

    Args:
        sampler: The model.
        model: Its name in the rows.
        config: Settings of the evaluation.
        extractor: Features.
        reference: Statistics of the real images.
        cache_folder: Folder of cached cells.
        code: Hashes of the code that measures, from :func:`pipeline.system.code.reached_code`.

    Raises:
        StraightflowError: If the model does not fit the reference or makes images that are not finite. Cells
            measured before stay.
    """
    reference.check(sampler.shape, config.num_samples)
    require_neighbours(config.num_samples, reference.num_images, config.neighbours.k)
    runtime = sampler.runtime
    solvers = config.solvers(teacher=sampler.noise_schedule is not None)
    cells = [Cell(solver, seed) for solver in solvers for seed in config.seeds(solver)]
    cache = CellCache(
        cache_folder,
        [
            dict(code),
            sampler.fingerprint,
            runtime.precision,
            str(runtime.device.type),
            [extractor.name, extractor.fingerprint, reference.fingerprint],
            [config.num_samples, config.batch_size, config.grid_images],
            [config.neighbours.model_dump(), config.kernel_distance.model_dump()],
        ],
    )
    # All processes must agree on what is missing, so the main one decides.
    missing: list[Cell] = broadcast_object_list([[cell for cell in cells if not cache.has(cell)]])[0]
    total = len(missing) * sum(len(block) for block in _blocks_of_process(sampler, config))
    with Progress(f"evaluating {model}", total, "images", enabled=runtime.is_main and bool(missing)) as progress:
        for cell in missing:
            blocks = _generate(sampler, cell, config, extractor, progress)
            if runtime.is_main:
                cache.save(cell, *_result(blocks, reference, config))
    runtime.accelerator.wait_for_everyone()
    found = {cell: cache.load(cell) for cell in cells}
    measured = {cell: item for cell, item in found.items() if item is not None}
    rows, images = [], {}
    for solver in solvers:
        seeds = config.seeds(solver)
        results = [measured[Cell(solver, seed)][0] for seed in seeds]
        rows.append(_row(model, Cell(solver, config.seed), results, config, extractor.name, reference.split))
        images[samples_key(solver.label, solver.num_steps)] = measured[Cell(solver, config.seed)][1]
    return Sweep(tuple(rows), images)


def _prepare(sampler: Sampler, key: int, indices: range, solver: SolverConfig) -> Callable[[], Solution]:
    """Draws the noise of a batch, which the CPU does, and places it; what it returns samples from it."""
    device = sampler.runtime.device
    x_0, labels = sampler.draw(key, indices)
    x_0, labels = x_0.to(device), None if labels is None else labels.to(device)
    return lambda: sampler.sample(x_0, solver, labels)


def _warm_up(sampler: Sampler, key: int, solver: SolverConfig, batches: Iterable[range]) -> None:
    """Samples once with every size of batch, so that no clock sees what a size costs only the first time.

    A network is compiled for each of them, and a GPU loads its kernels. One step of a solver with fixed steps does.
    """
    once = solver.model_copy(update={"num_steps": 1, "grid": "uniform"}) if solver.num_steps is not None else solver
    of_size = {len(batch): batch for batch in batches}
    for batch in of_size.values():
        _prepare(sampler, key, batch, once)()


def _blocks_of_process(sampler: Sampler, config: EvaluateConfig) -> list[range]:
    accelerator = sampler.runtime.accelerator
    return sample_blocks(config.num_samples, config.batch_size)[accelerator.process_index :: accelerator.num_processes]


def _generate(
    sampler: Sampler, cell: Cell, config: EvaluateConfig, extractor: FeatureExtractor, progress: Progress
) -> list[BlockMeasures]:
    """All blocks of a cell in order, each generated by one process."""
    key = stream_key("evaluation", cell.seed)
    num_parts = parts_per_block(sample_blocks(config.num_samples, config.batch_size))
    measured = []
    own = _blocks_of_process(sampler, config)
    try:
        _warm_up(sampler, key, cell.solver, (batch for block in own for batch in batches_of(block, config.batch_size)))
        for indices in own:
            measured.append(
                measure_block(
                    lambda batch: _prepare(sampler, key, batch, cell.solver),
                    indices,
                    extractor,
                    sampler.runtime.device,
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
    return sorted(gather_object(measured), key=lambda block: block.start)


def _result(
    blocks: Sequence[BlockMeasures], reference: Reference, config: EvaluateConfig
) -> tuple[CellResult, np.ndarray]:
    counts, evaluations = np.array([batch for block in blocks for batch in block.evaluations], float).T
    nfe = float(np.average(evaluations, weights=counts))
    peaks = [block.peak_memory_mib for block in blocks if block.peak_memory_mib is not None]
    result = CellResult(
        quality=measure_quality(blocks, reference, config),
        nfe=nfe,
        nfe_std=float(np.sqrt(np.average(np.square(evaluations - nfe), weights=counts))),
        seconds_per_1000=1000 * sum(block.seconds for block in blocks) / float(counts.sum()),
        peak_memory_mib=max(peaks) if peaks else None,
    )
    images = np.concatenate([block.images for block in blocks])[: config.grid_images]
    return result, images


def _row(
    model: str, cell: Cell, results: Sequence[CellResult], config: EvaluateConfig, features: str, split: str
) -> ImageRow:
    """One row from the results of all seeds, in the order of the seeds."""
    first, qualities = results[0], [result.quality for result in results]
    fids = [quality.fid for quality in qualities]
    infinities = [quality.fid_infinity for quality in qualities if quality.fid_infinity is not None]
    heldout = [quality.fid_heldout for quality in qualities if quality.fid_heldout is not None]
    content = asdict(first.quality) | {
        "fid": float(np.mean(fids)),
        "fid_std": float(np.std(fids, ddof=1)) if len(fids) > 1 else first.quality.fid_std,
        "fid_infinity": float(np.mean(infinities)) if infinities else None,
        "fid_heldout": float(np.mean(heldout)) if heldout else None,
    }
    return ImageRow(
        model=model,
        solver=cell.solver.label,
        num_steps=cell.solver.num_steps,
        nfe=first.nfe,
        features=features,
        num_samples=config.num_samples,
        reference=split,
        seed=cell.seed,
        seconds_per_1000=first.seconds_per_1000,
        nfe_std=first.nfe_std,
        peak_memory_mib=first.peak_memory_mib,
        num_seeds=len(results),
        **content,
    )
