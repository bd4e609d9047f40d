"""Exports a student as one file that draws without this project."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pipeline.models.export.folder import Export, write_export
from pipeline.models.export.formats import FormatName
from stages.commands.model_folder import model_folder

EXPORTED = Path("exported")


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and where.

    Attributes:
        model: Name under models/, or folder of a saved student.
        format: Of the file.
        steps: Euler steps.
        batch: Images that it draws at once; None for any number.
        out: A folder; None for one of the model's name in exported/.
    """

    model: str
    format: FormatName
    steps: int
    batch: int | None
    out: Path | None


def export_student(options: ExportOptions) -> None:
    """Writes the folder and prints code that draws with the file in it.

    Raises:
        StraightflowError: If there is no such model, or as :func:`pipeline.models.export.folder.write_export`.
    """
    model = model_folder(options.model)
    folder = options.out or EXPORTED / f"{model.resolve().name}-{options.format}"
    export = Export(model, options.format, options.steps, options.batch)
    exported = write_export(export, folder, version=version("straightflow"))
    print(f"{options.model}, {options.steps} step(s): {exported.file}")
    print(f"Its images differ from those of the student by at most {exported.difference:.1e}. This draws some:\n")
    print(exported.code, end="")
