"""Making couplings: resumable by shard, divided over processes, published whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline.atomic import atomic_file, publish_folder, write_json
from pipeline.config import CouplingsConfig
from pipeline.couplings import MANIFEST, VERSION, Manifest, ShardRecord, shard_name
from pipeline.errors import StraightflowError
from pipeline.fingerprint import fingerprint_file, fingerprint_json
from pipeline.models import Sampler
from pipeline.noise import noise_check, sample_noise, stream_key
from pipeline.pixels import to_uint8
from pipeline.progress import Progress


def generate_couplings(sampler: Sampler, config: CouplingsConfig, runs_folder: Path, destination: Path) -> None:
    """Draws ``config.num_pairs`` pairs from ``sampler`` into a store at ``destination``.

    Finished shards wait in ``runs_folder`` under a fingerprint of everything they depend on; an interrupted
    call continues after them. Every process takes each num_processes-th shard.

    Raises:
        StraightflowError: If the sampler returns non-finite images; names the shard.
    """
    accelerator = sampler.runtime.accelerator
    work = runs_folder / f"couplings-{_inputs_fingerprint(sampler, config)[:16]}"
    work.mkdir(parents=True, exist_ok=True)
    num_shards = -(-config.num_pairs // config.shard_pairs)
    mine = [
        shard
        for shard in range(num_shards)
        if shard % accelerator.num_processes == accelerator.process_index and not _is_finished(work, shard)
    ]
    pairs = sum(len(_shard_indices(config, shard)) for shard in mine)
    with Progress(f"couplings from {config.source}", pairs, "pairs", enabled=sampler.runtime.is_main) as progress:
        for shard in mine:
            _make_shard(sampler, config, work, shard, progress)
    accelerator.wait_for_everyone()
    if sampler.runtime.is_main:
        _publish(sampler, config, work, num_shards, destination)
    accelerator.wait_for_everyone()


def _inputs_fingerprint(sampler: Sampler, config: CouplingsConfig) -> str:
    return fingerprint_json(
        [VERSION, sampler.fingerprint, config.model_dump(mode="json"), sampler.runtime.precision, sampler.shape]
    )


def _shard_indices(config: CouplingsConfig, shard: int) -> range:
    return range(shard * config.shard_pairs, min((shard + 1) * config.shard_pairs, config.num_pairs))


def _record_path(work: Path, shard: int) -> Path:
    return work / f"{shard_name(shard)}.json"


def _is_finished(work: Path, shard: int) -> bool:
    return _record_path(work, shard).is_file() and (work / shard_name(shard)).is_file()


def _make_shard(sampler: Sampler, config: CouplingsConfig, work: Path, shard: int, progress: Progress) -> None:
    """Generates one shard, writes it, then its record; the record says that the shard is whole."""
    key = stream_key("couplings", config.seed)
    indices = _shard_indices(config, shard)
    images, evaluations, outside = [], 0, 0
    for start in range(0, len(indices), config.batch_size):
        chunk = indices[start : start + config.batch_size]
        solution = sampler.sample(sample_noise(key, chunk, sampler.shape), config.solver)
        x_1 = solution.x.float().cpu()
        if not torch.isfinite(x_1).all():
            raise StraightflowError(
                expected=f"finite images from {config.source}",
                found=f"NaN or infinity in shard {shard_name(shard)}, pairs {chunk.start} to {chunk.stop - 1}",
                mend="check the source model, or set compute.precision: fp32; finished shards are kept",
            )
        outside += int((x_1.abs() > 1).sum())
        evaluations += solution.nfe * len(chunk)
        images.append(to_uint8(x_1) if config.dtype == "uint8" else x_1.to(getattr(torch, config.dtype)))
        progress.advance(len(chunk))
    stacked = torch.cat(images)
    with atomic_file(work / shard_name(shard)) as temporary:
        save_file({"images": stacked}, temporary)
    write_json(
        _record_path(work, shard),
        {
            "sha256": fingerprint_file(work / shard_name(shard)),
            "evaluations": evaluations,
            "clipped_fraction": outside / stacked.numel(),
        },
    )


def _publish(sampler: Sampler, config: CouplingsConfig, work: Path, num_shards: int, destination: Path) -> None:
    """Writes the manifest and renames the finished work into place."""
    records = [json.loads(_record_path(work, shard).read_text()) for shard in range(num_shards)]
    manifest = Manifest(
        format="straightflow-couplings",
        version=1,
        num_pairs=config.num_pairs,
        shard_pairs=config.shard_pairs,
        shape=sampler.shape,
        dtype=config.dtype,
        seed=config.seed,
        noise_check=noise_check(stream_key("couplings", config.seed), sampler.shape),
        source=config.source,
        source_fingerprint=sampler.fingerprint,
        solver=config.solver.model_dump(mode="json"),
        nfe_mean=sum(record["evaluations"] for record in records) / config.num_pairs,
        batch_size=config.batch_size,
        precision=sampler.runtime.precision,
        shards=tuple(
            ShardRecord(
                file=shard_name(shard),
                num_pairs=len(_shard_indices(config, shard)),
                sha256=record["sha256"],
                clipped_fraction=record["clipped_fraction"],
            )
            for shard, record in enumerate(records)
        ),
    )
    staging = work.with_name(f"{work.name}.publish")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    for shard in range(num_shards):
        (staging / shard_name(shard)).hardlink_to(work / shard_name(shard))
    write_json(staging / MANIFEST, manifest.model_dump(mode="json"))
    publish_folder(staging, destination)
    shutil.rmtree(work)
