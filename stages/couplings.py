"""Draws couplings from their source.

``python -m stages.couplings round1`` makes the missing shards and publishes the store. With ``--worker i --workers n``
it makes only the shards of the i-th (from 0) of n jobs, which need to share nothing but the file system. When all jobs
are done, ``dvc repro couplings@round1`` finds every shard made, and publishes them.
"""

from __future__ import annotations

import argparse

from pipeline.config.graph import Config
from pipeline.couplings.coupling_run import open_run
from pipeline.couplings.generation import generate_couplings, make_shards
from pipeline.couplings.inventory import unfinished_stores
from pipeline.couplings.unfinished import Worker
from pipeline.data.sample_set import open_samples
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.errors import StraightflowError
from stages import paths
from stages.code import code_of
from stages.entry import known_name, run


def main(config: Config, arguments: list[str]) -> None:
    """Writes couplings/<name>/store and cost.json beside it, or a worker's shards of it."""
    chosen = _parse(arguments)
    name = known_name(chosen.name, "couplings", config.couplings)
    couplings = config.couplings[name]
    runtime = open_runtime(config.compute, config.launch)
    sampler = load_sampler(paths.model(couplings.source), runtime)
    data = paths.trained_on(config.trained_on)
    images = open_samples(data, "train") if couplings.image_to_noise is not None else None
    if chosen.workers is None:
        generate_couplings(
            sampler,
            couplings,
            paths.RUNS,
            paths.couplings(name),
            images,
            code=code_of("couplings"),
            cost=paths.couplings_cost(name),
        )
        left = unfinished_stores(paths.RUNS)
        if left and runtime.is_main:
            size = f"{sum(found.num_bytes for found in left) / 1e6:,.1f} MB"
            print(f"{paths.RUNS} keeps {len(left)} unfinished stores, {size}: `straightflow inspect` lists them")
        return
    processes = runtime.accelerator.num_processes
    job = Worker(chosen.worker * processes + runtime.accelerator.process_index, chosen.workers * processes)
    make_shards(open_run(sampler, couplings, paths.RUNS, images, code=code_of("couplings")), job)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.couplings")
    parser.add_argument("name", help="which couplings are drawn")
    parser.add_argument("--worker", type=int, help="number of this job, from 0")
    parser.add_argument("--workers", type=int, help="number of jobs")
    chosen = parser.parse_args(arguments)
    given = (chosen.worker, chosen.workers)
    if given != (None, None) and (None in given or not 0 <= chosen.worker < chosen.workers):
        raise StraightflowError(
            expected="--worker i --workers n together, with 0 <= i < n",
            found=f"--worker {chosen.worker} --workers {chosen.workers}",
            mend="number the jobs from 0",
        )
    return chosen


if __name__ == "__main__":
    run(main)
