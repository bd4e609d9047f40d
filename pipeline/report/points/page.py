"""The report of a run on points: table, figures and one self-contained page."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import asdict, astuple
from html import escape
from pathlib import Path
from string import Template

import yaml

from pipeline.config.graph import Config, learns_mean_velocity
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.metrics.point_row import POINT_COLUMNS
from pipeline.report.html import Picture, definitions, picture, style_sheet, table
from pipeline.report.images.few_step_csv import write_cells
from pipeline.report.points.pictures import draw_pictures
from pipeline.report.points.results import PointResults, load_point_results, summarise
from pipeline.report.provenance import collect_provenance, parameters
from pipeline.system.atomic import atomic_file, write_json
from pipeline.toys.distributions import TOYS


def write_point_report(root: Path, config: Config, *, table_path: Path, summary_path: Path, folder: Path) -> None:
    """Writes the table, the headline numbers, the figures and the page of a run on points."""
    results = load_point_results(root, config)
    flow = _first_flow(config, results)
    drawn = draw_pictures(results.rows, results.arrays, TOYS[config.data.source], _noise_of_flows(config, flow), flow)
    write_cells(table_path, POINT_COLUMNS, map(asdict, results.rows))
    write_json(summary_path, summarise(results))
    for name, item in drawn.items():
        with atomic_file(folder / "figures" / f"{name}.{item.kind}") as temporary:
            temporary.write_bytes(item.light)
    with atomic_file(folder / "index.html") as temporary:
        temporary.write_text(_page(results, drawn, config, root), "utf-8")


def _first_flow(config: Config, results: PointResults) -> str | None:
    """The first measured flow that closed forms can be compared with."""
    return next((name for name in config.flows if name in results.arrays and learns_mean_velocity(config, name)), None)


def _noise_of_flows(config: Config, flow: str | None) -> NoiseConfig:
    """Where ``flow`` starts; without one, where flows of the run do."""
    if flow is not None:
        return config.flows[flow].noise
    settings = next(iter(config.flows.values()), config.teacher.flow)
    return STANDARD_NOISE if settings is None else settings.noise


def _page(results: PointResults, drawn: Mapping[str, Picture], config: Config, root: Path) -> str:
    cells = [[*map(_shown, astuple(row))] for row in results.rows]
    last, provenance = results.rows[-1], collect_provenance(root)
    template = Template((importlib.resources.files(__package__) / "page_template.html").read_text("utf-8"))
    trajectories = {item.model: asdict(item.trajectories) for item in results.models}
    errors = {item.model: asdict(item.field_error) for item in results.models if item.field_error is not None}
    return template.substitute(
        style=style_sheet(),
        source=escape(config.data.source),
        measure=escape(
            f"{last.num_samples:,} points against as many fresh ones · seed {last.seed} · sliced over "
            f"{last.num_projections} directions; two sets of fresh points are {last.sliced_wasserstein_floor:.3g} apart"
        ),
        figures="".join(_section(name, item) for name, item in drawn.items()),
        few_step=table("Every measured cell", POINT_COLUMNS, cells, text_columns=2),
        trajectories=_records("Trajectories", trajectories),
        field_errors=_records("Field and likelihood against the closed form", errors) if errors else "",
        provenance=definitions(
            [("git revision", provenance.revision), ("processor", provenance.cpu), *provenance.packages.items()]
        ),
        params=escape(yaml.safe_dump(parameters(config), sort_keys=False, allow_unicode=True)),
    )


def _section(name: str, shown: Picture) -> str:
    title = escape(name.replace("_", " ").capitalize())
    return f'<h2>{title}</h2><div class="scroll" role="region" aria-label="{title}" tabindex="0">{picture(shown)}</div>'


def _records(caption: str, records: Mapping[str, Mapping[str, object]]) -> str:
    head = ("model", *next(iter(records.values())))
    return table(caption, head, [(name, *map(_shown, item.values())) for name, item in records.items()])


def _shown(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value
