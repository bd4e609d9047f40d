"""The report of a run on points: table, figures and one self-contained page."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import yaml
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipeline.atomic import atomic_file, write_json
from pipeline.config import STANDARD_NOISE, Config
from pipeline.errors import StraightflowError
from pipeline.report.few_step_csv import write_cells
from pipeline.report.html import Picture, definitions, picture, style_sheet, table
from pipeline.report.provenance import collect_provenance, parameters
from pipeline.toys.distributions import TOYS
from pipeline.toys.pictures import draw_pictures
from pipeline.toys.row import POINT_COLUMNS, PointRow


@dataclass(frozen=True)
class PointResults:
    """What a run on points measured.

    Attributes:
        rows: Couplings first, then every model's cells.
        models: Content of each model's ``metrics/evaluate/<model>.json``.
        arrays: Content of each model's ``samples/<model>.safetensors``.
    """

    rows: list[PointRow]
    models: dict[str, dict[str, Any]]
    arrays: dict[str, dict[str, np.ndarray]]


def load_point_results(root: Path, config: Config) -> PointResults:
    """Reads the outputs of a run below ``root``.

    Raises:
        StraightflowError: If one is missing or not what its stage writes.
    """
    path = root
    try:
        rows, models, arrays = [], {}, {}
        for name in config.rounds:
            path = root / f"couplings/{name}/quality.json"
            rows.append(TypeAdapter(PointRow).validate_python(json.loads(path.read_text())["row"]))
        for name in config.evaluate.models:
            path = root / f"metrics/evaluate/{name}.json"
            models[name] = json.loads(path.read_text())
            rows += TypeAdapter(list[PointRow]).validate_python(models[name]["rows"])
            path = root / f"samples/{name}.safetensors"
            arrays[name] = load_file(path)
    except (OSError, ValueError, KeyError, ValidationError, SafetensorError) as error:
        raise StraightflowError(
            expected=f"{path} as its stage writes it", found=str(error), mend="run `dvc repro`, which writes it again"
        ) from error
    return PointResults(rows, models, arrays)


def summarise(results: PointResults) -> dict[str, float]:
    """The few numbers a run is judged by, as one flat mapping."""
    numbers: dict[str, float] = {"sliced_wasserstein_floor": results.rows[-1].sliced_wasserstein_floor}
    for row in results.rows:
        if row.nfe is not None:
            cell = f"{row.model}_{row.num_steps}"
            numbers[f"{cell}_sliced_wasserstein"] = row.sliced_wasserstein
            if row.inside_share is not None:
                numbers[f"{cell}_inside_share"] = row.inside_share
    for name, model in results.models.items():
        numbers[f"straightness_{name}"] = model["trajectories"]["straightness"]
        if model["field_error"] is not None:
            numbers[f"velocity_error_{name}"] = model["field_error"]["velocity_error"]
            numbers[f"log_likelihood_error_{name}"] = model["field_error"]["log_likelihood_error"]
    return numbers


def write_point_report(root: Path, config: Config, *, table_path: Path, summary_path: Path, folder: Path) -> None:
    """Writes the table, the headline numbers, the figures and the page of a run on points."""
    results = load_point_results(root, config)
    flow = next((name for name in config.flows if name in results.arrays), None)
    noise = config.flows[flow].noise if flow is not None else STANDARD_NOISE
    if config.teacher.flow is not None:
        noise = config.teacher.flow.noise
    drawn = draw_pictures(results.rows, results.arrays, TOYS[config.data.source], noise, flow)
    write_cells(table_path, POINT_COLUMNS, map(asdict, results.rows))
    write_json(summary_path, summarise(results))
    for name, item in drawn.items():
        with atomic_file(folder / "figures" / f"{name}.{item.kind}") as temporary:
            temporary.write_bytes(item.light)
    with atomic_file(folder / "index.html") as temporary:
        temporary.write_text(_page(results, drawn, config, root), "utf-8")


def _page(results: PointResults, drawn: Mapping[str, Picture], config: Config, root: Path) -> str:
    row, provenance = results.rows[-1], collect_provenance(root)
    template = Template(importlib.resources.files("pipeline.toys").joinpath("page_template.html").read_text("utf-8"))
    errors = {name: model["field_error"] for name, model in results.models.items() if model["field_error"]}
    return template.substitute(
        style=style_sheet(),
        source=escape(config.data.source),
        measure=escape(
            f"{row.num_samples:,} points against as many fresh ones · seed {row.seed} · sliced over "
            f"{row.num_projections} directions; two sets of fresh points are {row.sliced_wasserstein_floor:.3g} apart"
        ),
        figures="".join(_section(name, item) for name, item in drawn.items()),
        few_step=table("Every measured cell", POINT_COLUMNS, [_cells(item) for item in results.rows], text_columns=2),
        trajectories=_records("Trajectories", {n: m["trajectories"] for n, m in results.models.items()}),
        field_errors=_records("Field and likelihood against the closed form", errors) if errors else "",
        provenance=definitions(
            [("git revision", provenance.revision), ("processor", provenance.cpu), *provenance.packages.items()]
        ),
        params=escape(yaml.safe_dump(parameters(config), sort_keys=False, allow_unicode=True)),
    )


def _section(name: str, shown: Picture) -> str:
    title = escape(name.replace("_", " ").capitalize())
    return f'<h2>{title}</h2><div class="scroll" role="region" aria-label="{title}" tabindex="0">{picture(shown)}</div>'


def _cells(row: PointRow) -> list[object]:
    return [f"{value:.4g}" if isinstance(value, float) else value for value in astuple(row)]


def _records(caption: str, records: Mapping[str, Mapping[str, float]]) -> str:
    head = ("model", *next(iter(records.values())))
    return table(
        caption, head, [(name, *(f"{value:.4g}" for value in item.values())) for name, item in records.items()]
    )
