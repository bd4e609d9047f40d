"""The report of a run on points."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.graph import Config, learns_mean_velocity
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.report.contents import ReportContents
from pipeline.report.ledger import load_ledger
from pipeline.report.points.page import render_page
from pipeline.report.points.pictures import draw_pictures
from pipeline.report.points.results import Results, load_results
from pipeline.report.points.summary import summary
from pipeline.report.provenance import collect_provenance, parameters
from pipeline.report.reading import unreadable
from pipeline.toys.distributions import TOYS


def compose_report(root: Path, config: Config) -> ReportContents:
    """Reads what the run below ``root`` measured, and composes its report.

    Raises:
        StraightflowError: If an output is missing or not what its stage writes.
    """
    results, source = load_results(root, config.evaluate.models, tuple(config.rounds)), config.data.source
    _require_dim(results, TOYS[source].dim, root)
    flow = _first_flow(config, results)
    pictures = draw_pictures(results.rows, results.arrays, TOYS[source], _noise_of_flows(config, flow), flow)
    page = render_page(results, source, pictures, collect_provenance(root), parameters(config))
    return ReportContents(results.rows, summary(results) | load_ledger(root, config).summary(), pictures, page)


def _require_dim(results: Results, dim: int, root: Path) -> None:
    for name, arrays in results.arrays.items():
        found = arrays["trajectories"].shape[2]
        if found != dim:
            problem = ValueError(f"points of {found} dimensions, where the data have {dim}")
            raise unreadable(root / f"samples/{name}.safetensors", problem)


def _first_flow(config: Config, results: Results) -> str | None:
    """The first measured flow that can be compared with the closed form."""
    return next((name for name in config.flows if name in results.arrays and learns_mean_velocity(config, name)), None)


def _noise_of_flows(config: Config, flow: str | None) -> NoiseConfig:
    """Noise distribution of ``flow``; without one, of the run's first flow, or of the flow that is the teacher."""
    if flow is not None:
        return config.flows[flow].noise
    settings = next(iter(config.flows.values()), config.teacher.flow)
    return STANDARD_NOISE if settings is None else settings.noise
