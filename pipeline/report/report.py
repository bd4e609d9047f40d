"""Writes the report of a run on images or on points, and describes the run for the terminal."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.graph import Config, headline_of
from pipeline.data.space import POINTS, space_of
from pipeline.report.contents import ReportContents
from pipeline.report.few_step_csv import write_few_step_csv
from pipeline.system.atomic import atomic_file, write_json


def write_report(root: Path, config: Config, *, table: Path, summary: Path, folder: Path) -> None:
    """Reads the outputs of a run and writes its report.

    Args:
        root: The project's folder.
        config: Configuration of the run.
        table: CSV file to write, a row for every measured cell.
        summary: JSON file to write, the headline numbers.
        folder: Folder for ``index.html`` and for ``figures/``, which are drawn for a light background.

    Raises:
        StraightflowError: If an output is missing or not what its stage writes.
    """
    contents = _compose(root, config)
    write_few_step_csv(table, contents.rows)
    write_json(summary, contents.summary)
    for name, picture in contents.pictures.items():
        _write(folder / "figures" / f"{name}.{picture.kind}", picture.light)
    _write(folder / "index.html", contents.page.encode())


def describe_run(config: Config, table: Path) -> str:
    """The results of a run for the terminal, from the ``table`` of its report.

    Raises:
        StraightflowError: If the table is missing, or is of points where images are configured or the reverse.
    """
    if space_of(config.data) is POINTS:
        from pipeline.report.points.summary import describe_table

        return describe_table(table)
    from pipeline.report.images.summary import describe_table as describe_table_of_images

    return describe_table_of_images(table, headline_of(config))


def _compose(root: Path, config: Config) -> ReportContents:
    # Only the kind that is needed is imported: figures of points need torch, those of images do not.
    if space_of(config.data) is POINTS:
        from pipeline.report.points.report import compose_report

        return compose_report(root, config)
    from pipeline.report.images.report import compose_report as compose_report_of_images

    return compose_report_of_images(root, config)


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
