"""Draws the couplings of one round from its source."""

from __future__ import annotations

from pipeline.compute import open_runtime
from pipeline.config import Config
from pipeline.coupling_generation import generate_couplings
from pipeline.models import load_sampler
from stages import paths
from stages.entry import run, single_argument


def main(config: Config, arguments: list[str]) -> None:
    """Writes couplings/<round>/store."""
    name = single_argument(arguments, "a round")
    couplings = config.rounds[name].couplings
    sampler = load_sampler(paths.model(couplings.source), open_runtime(config.compute, config.launch))
    generate_couplings(sampler, couplings, paths.RUNS, paths.couplings(name))


if __name__ == "__main__":
    run(main)
