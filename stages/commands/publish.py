"""Publishes a model of a finished run: to a folder, or to the hub with the user's own login."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import HfApi

from pipeline.config.graph import Config
from pipeline.config.lineage import ENCODING, RECONSTRUCTION, stages_of, training_stage
from pipeline.config.model_names import AUTOENCODER
from pipeline.data.space import space_of
from pipeline.report.drawing import png
from pipeline.report.images.figures import fid_by_steps_figure, sample_grid_figure
from pipeline.report.images.results import Results, load_results
from pipeline.report.images.samples import load_samples
from pipeline.report.ledger import load_ledger
from pipeline.report.provenance import git_revision
from pipeline.report.publishing.card import (
    FID_FIGURE,
    SAMPLES_FIGURE,
    Published,
    drawing_of,
    exact_steps_of,
    model_card,
)
from pipeline.report.publishing.folder import require_place, write_folder
from pipeline.report.publishing.licenses import require_licenses
from pipeline.report.publishing.lineage import lineage, require_one_run
from pipeline.report.publishing.provenance import provenance
from pipeline.report.publishing.sources import sources_of
from pipeline.report.publishing.space import NEEDED, space_files
from pipeline.report.publishing.stock_model import open_stock_model, require_described
from pipeline.report.publishing.upload import upload_folder
from pipeline.system.errors import StraightflowError, nearest
from pipeline.system.fingerprint import fingerprint_folder
from pipeline.system.whole_files import read_bytes, read_text
from pipeline.system.yaml_text import parse_yaml
from stages import paths
from stages.commands.destination import Destination, destination_of
from stages.commands.run_record import read_run_record, require_as_recorded
from stages.entry import PARAMS


@dataclass(frozen=True)
class PublishOptions:
    """What to publish, where, and what only its publisher knows.

    Attributes:
        model: Name under models/.
        to: A folder, or ``owner/name`` on the hub; None for a folder of the model's name in published/.
        license: Of the model.
        data_license: Of the data.
        teacher_license: Of a pretrained teacher.
        base_model: Id of the teacher on the hub, where the configuration does not name it.
        datasets: Ids of the data set on the hub, where the configuration does not name it.
        force: Whether an earlier publication is replaced.
        space: Whether the files of a Space that draws with the model are added.
        autoencoder_license: Of an autoencoder that was brought along by itself.
    """

    model: str
    to: str | None
    license: str | None
    data_license: str | None
    teacher_license: str | None
    base_model: str | None
    datasets: tuple[str, ...]
    force: bool
    space: bool = False
    autoencoder_license: str | None = None


def publish_model(config: Config, options: PublishOptions, api: HfApi | None = None) -> None:
    """Writes the model's folder, or makes one and uploads it.

    Args:
        config: Of the run.
        options: What and where.
        api: The hub; None for the one that the user is logged in to.

    Raises:
        StraightflowError: If the model is none of images, was not measured, or its files, couplings, measurements and
            settings are not of one run; if a license is missing; or if something at the destination would be lost.
    """
    _require_model(config, options.model)
    place = destination_of(options.to, options.model)
    if place.folder is not None:
        require_place(place.folder, force=options.force)
        _write(config, options, place, place.folder)
        print(f"{options.model} published: {place.folder}")
        return
    assert place.repository is not None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / options.model
        _write(config, options, place, folder)
        address = upload_folder(
            HfApi() if api is None else api,
            folder,
            place.repository,
            force=options.force,
            tell=lambda text: print(text, flush=True),
            message=f"Publish {options.model}",
        )
    print(f"{options.model} published: {address}")


def _require_model(config: Config, model: str) -> None:
    if model not in config.models:
        raise StraightflowError(
            expected="a model of the run", found=f"{model!r}{nearest(model, config.models)}", mend="name one of them"
        )
    if not space_of(config.data).is_visual:
        raise StraightflowError(
            expected="a model of images, whose network is one of diffusers' own",
            found=f"one of points, data.source: {config.data.source}",
            mend="share the folder of the project instead",
        )
    if paths.model(model).is_dir():
        require_described(paths.model(model))
    if model not in config.evaluate.models:
        raise StraightflowError(
            expected=f"{model} among evaluate.models, as a card states what was measured",
            found=", ".join(config.evaluate.models),
            mend=f"add {model} to evaluate.models of the preset, and run `dvc repro`",
        )


def _write(config: Config, options: PublishOptions, place: Destination, folder: Path) -> None:
    name, model = options.model, paths.model(options.model)
    licenses = require_licenses(
        options.license,
        options.data_license,
        options.teacher_license,
        config.teacher.pretrained,
        autoencoder=options.autoencoder_license,
        brings_autoencoder=config.autoencoder is not None and config.autoencoder.is_brought_along,
    )
    sources = sources_of(config, options.base_model, options.datasets)
    made = read_run_record(paths.PROJECT)
    records = lineage(made, f"evaluate@{name}")
    stated = lineage(made, RECONSTRUCTION) if config.latents else ()
    require_one_run({record.stage: record for record in (*stated, *records)}.values(), _settings())
    require_as_recorded(paths.PROJECT, _stated(config, name), made)
    opened = open_stock_model(model)
    results = load_results(
        paths.PROJECT,
        config.evaluate.models,
        tuple(config.couplings),
        tuple(config.students),
        reconstruction=bool(config.latents),
    )
    ledger = load_ledger(paths.PROJECT, config)
    published = Published(name, place.repository, opened, licenses, sources)
    space = _space(published, config, results) if options.space else {}
    write_folder(
        folder,
        model=model,
        card=model_card(published, config, results, ledger, git_revision(paths.PROJECT), has_space=options.space),
        further={
            FID_FIGURE: png(fid_by_steps_figure(results.rows)),
            SAMPLES_FIGURE: png(sample_grid_figure(load_samples(paths.PROJECT, (name,)))),
            **space,
        },
        params=read_bytes(PARAMS),
        provenance=provenance(
            paths.PROJECT,
            config,
            name,
            version=version("straightflow"),
            fingerprint=fingerprint_folder(model),
            results=results,
            ledger=ledger,
            records=records,
        ),
        force=options.force,
    )


def _space(published: Published, config: Config, results: Results) -> dict[str, bytes]:
    return space_files(
        published.name,
        published.repository,
        published.licenses.model,
        drawing_of(published, config, results),
        exact_steps_of(config, published.name),
        {package: version(package) for package in NEEDED},
    )


def _settings() -> Mapping[str, object]:
    content: Mapping[str, object] = parse_yaml(read_text(PARAMS), origin=str(PARAMS))
    return content


def _stated(config: Config, name: str) -> list[Path]:
    """The model, and every file with a number that its card or its provenance states."""
    stages = stages_of(config, name)
    return [
        paths.model(name),
        paths.samples(name),
        *map(paths.evaluation, config.evaluate.models),
        *map(paths.quality, config.couplings),
        *(paths.couplings_cost(item) for item in config.couplings if f"couplings@{item}" in stages),
        *(
            paths.training_cost(item)
            for item in (AUTOENCODER, *config.models)
            if training_stage(config, item) in stages
        ),
        *([paths.encoding_cost()] if ENCODING in stages else []),
        *([paths.evaluation(AUTOENCODER)] if config.latents else []),
    ]
