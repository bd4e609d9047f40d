"""An exported student as a folder: the file, code that draws with it, what it is, hashes; whole or absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.models.export.formats import FORMATS, FormatName, require_format
from pipeline.models.export.program import trace_program
from pipeline.models.export.snippets import drawing_code
from pipeline.models.export.student import ExportableStudent, open_student
from pipeline.models.export.verified import require_same_images
from pipeline.system.atomic import atomic_folder, write_json
from pipeline.system.fingerprint import fingerprint_folder
from pipeline.system.replacing import require_replaceable
from pipeline.system.sums import is_as_summed, write_sums

RECORD = "export.json"
CODE = "draw.py"


@dataclass(frozen=True)
class Export:
    """What to export.

    Attributes:
        model: Folder of a saved student.
        format: Of the file.
        num_steps: Euler steps, unrolled.
        batch: The only batch that it takes; None for any.
    """

    model: Path
    format: FormatName
    num_steps: int
    batch: int | None


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        file: The program.
        code: That draws with it.
        difference: Largest one of a value of its images from the student's.
    """

    file: Path
    code: str
    difference: float


def write_export(export: Export, folder: Path, *, version: str) -> Exported:
    """Exports a student, compares the file's images with the student's, and puts the folder in place.

    Args:
        export: What.
        folder: Where; what an earlier export left there is replaced if no file was changed or added since.
        version: Of this package, for the record.

    Raises:
        StraightflowError: If something else is at ``folder``, a package is missing, the model cannot be exported, or
            what was exported draws other images.
    """
    require_replaceable(folder, is_exported)
    require_format(export.format)
    student = open_student(export.model, export.num_steps)
    program, kind = trace_program(student, export.batch), FORMATS[export.format]
    with atomic_folder(folder, ours=is_exported) as temporary:
        kind.write(program, temporary / kind.file)
        difference = require_same_images(student, kind.open(temporary / kind.file), export.batch)
        # Run in the folder itself, wherever that is moved.
        (temporary / CODE).write_text(drawing_code(export.format, kind.file, student.model, export.batch), "utf-8")
        write_json(temporary / RECORD, _record(export, student, version))
        write_sums(temporary)
    code = drawing_code(export.format, str(folder / kind.file), student.model, export.batch)
    return Exported(folder / kind.file, code, difference)


def is_exported(folder: Path) -> bool:
    """Whether ``folder`` holds an export and nothing else: no file was changed or added since."""
    return (folder / RECORD).is_file() and is_as_summed(folder)


def _record(export: Export, student: ExportableStudent, version: str) -> dict[str, object]:
    return {
        "model": export.model.name,
        "fingerprint": fingerprint_folder(export.model),
        "format": export.format,
        "steps": export.num_steps,
        "batch": export.batch,
        "shape": list(student.model.shape),
        "num_classes": student.model.num_classes,
        "straightflow": version,
    }
