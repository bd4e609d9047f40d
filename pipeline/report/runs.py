"""Reads runs by their names and compares two of them cell by cell."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.metrics.image_row import ImageRow, differences
from pipeline.metrics.point_row import PointRow
from pipeline.report.few_step_csv import parse_few_step_csv
from pipeline.report.images.comparisons import Comparison
from pipeline.report.images.samples import SampleCell, load_samples, require_measured
from pipeline.report.images.summary import fid_in_words
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.whole_files import read_text

FEW_STEP = "metrics/few_step.csv"


@dataclass(frozen=True)
class Compared:
    """A cell that two runs measured.

    Attributes:
        label: The cell, its features and number of samples in words.
        a: The cell of the first run.
        b: That of the second.
    """

    label: str
    a: ImageRow
    b: ImageRow

    @property
    def ratio(self) -> float | None:
        """FID of b ÷ that of a; None where they do not compare."""
        return self.b.fid / self.a.fid if self.a.fid > 0 and not differences(self.a, self.b) else None

    @property
    def is_better(self) -> bool | None:
        """Whether b is significantly better than a, or significantly worse; None if neither is known."""
        if differences(self.a, self.b) or min(self.a.fid, self.b.fid) <= 0:
            return None
        return self.b.fid < self.a.fid if Comparison("", "", self.b, self.a).is_significant else None

    @property
    def verdict(self) -> str:
        """Which is better, or why that cannot be said, in words."""
        different = differences(self.a, self.b)
        if different:
            return f"not comparable: other {', '.join(different)}"
        if min(self.a.fid, self.b.fid) <= 0:
            return "not comparable: a FID that is not above 0"
        if Comparison("", "", self.b, self.a).interval is None:
            return "spread unknown"
        if self.is_better is None:
            return "no significant difference"
        return "B better" if self.is_better else "A better"


def load_run(name: str, repository: Path) -> tuple[ImageRow, ...]:
    """The few-step table of a run.

    Args:
        name: A folder that holds ``metrics/few_step.csv``, or a git revision or the name of a DVC experiment of
            ``repository`` that does.
        repository: Where revisions are looked up.

    Raises:
        StraightflowError: If there is no such table, it is empty, or it is one of points, which have no FID.
    """
    path = Path(name) / FEW_STEP
    try:
        if path.exists():
            return _parse(read_text(path, errors="replace"), str(path))
    except OSError as error:  # the file is not readable, or the name is too long for the file system
        raise _no_run(name, one_line(error)) from error
    # DVC keeps experiments as refs/exps/<two digits>/<baseline>/<name>.
    experiments = _git(repository, "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    revision = next((ref for ref in experiments if ref.rsplit("/", 1)[1] == name), name)
    shown = _git(repository, "show", "--end-of-options", f"{revision}:{FEW_STEP}")
    if shown.returncode:
        raise _no_run(name, shown.stderr.strip())
    return _parse(shown.stdout, f"{name}:{FEW_STEP}")


def load_run_samples(name: str, rows: Sequence[ImageRow]) -> tuple[SampleCell, ...]:
    """The sample images of a run that is a folder; none of a revision, or of a folder without ``samples``.

    Args:
        name: As it was given to :func:`load_run`.
        rows: What that found.

    Raises:
        StraightflowError: If a file is damaged, or of other cells than the table.
    """
    root = Path(name)
    models = dict.fromkeys(row.model for row in rows if not row.is_couplings)
    found = [model for model in models if (root / f"samples/{model}.safetensors").is_file()]
    if not (root / FEW_STEP).is_file() or not found:
        return ()
    cells = load_samples(root, found)
    for model in found:
        own = [cell for cell in cells if cell.model == model]
        require_measured(own, [row for row in rows if row.model == model], root)
    return cells


def _parse(text: str, origin: str) -> tuple[ImageRow, ...]:
    if tuple(text.partition("\n")[0].strip().split(",")) == PointRow.columns():
        raise StraightflowError(
            expected=f"a table of FIDs in {origin}",
            found="one of points, which have none",
            mend="compare runs on points with `dvc metrics diff A B`, or `dvc exp show`",
        )
    if not text.strip():
        raise _no_run(origin, "a table without rows")
    rows = parse_few_step_csv(text, ImageRow, origin)
    if not rows:
        raise _no_run(origin, "a table without rows")
    return rows


def _no_run(name: str, found: str) -> StraightflowError:
    return StraightflowError(
        expected=f"a folder, git revision or experiment with {FEW_STEP}",
        found=f"{name[:100]!r}: {found}",
        mend="name a folder where the pipeline ran, or a revision in which its metrics are committed",
    )


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)


def comparison_table(name_a: str, rows_a: Sequence[ImageRow], name_b: str, rows_b: Sequence[ImageRow]) -> str:
    """FID of every cell that both runs measured, whether they differ significantly, and what only one measured."""
    lines = [("cell", name_a, name_b, "B ÷ A", "")]
    for cell in compare_cells(rows_a, rows_b):
        ratio = "-" if cell.ratio is None else f"{cell.ratio:.3f}"
        lines.append((cell.label, fid_in_words(cell.a), fid_in_words(cell.b), ratio, cell.verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    table = [
        f"{line[0].ljust(widths[0])}  {line[1].rjust(widths[1])}  {line[2].rjust(widths[2])}  "
        f"{line[3].rjust(widths[3])}  {line[4]}".rstrip()
        for line in lines
    ]
    for name, own, other in ((name_a, rows_a, rows_b), (name_b, rows_b, rows_a)):
        alone = only_in(own, other)
        if alone:
            table.append(f"only in {name}: {', '.join(alone)}")
    return "\n".join(table)


def compare_cells(rows_a: Sequence[ImageRow], rows_b: Sequence[ImageRow]) -> tuple[Compared, ...]:
    """Every cell that both runs measured, in the order of the first."""
    cells_a, cells_b = _counterparts(rows_a), _counterparts(rows_b)
    return tuple(Compared(_label(a), a, cells_b[key]) for key, a in cells_a.items() if key in cells_b)


def only_in(rows: Sequence[ImageRow], others: Sequence[ImageRow]) -> list[str]:
    """Labels of the cells of ``rows`` that have no counterpart among ``others``."""
    cells = _counterparts(others)
    return [_label(row) for key, row in _counterparts(rows).items() if key not in cells]


def _counterparts(rows: Sequence[ImageRow]) -> dict[tuple[object, ...], ImageRow]:
    """Rows by what makes two of them counterparts: the cell, the judge or not, and the first or the larger N."""
    found: dict[tuple[object, ...], ImageRow] = {}
    for row in sorted(rows, key=lambda row: row.num_samples):
        place = (*row.cell, row.is_judge)
        found[*place, sum(key[:-1] == place for key in found)] = row
    return dict(sorted(found.items(), key=lambda item: rows.index(item[1])))


def _label(row: ImageRow) -> str:
    return f"{row.model} {row.solver} {row.num_steps or 'adaptive'} ({row.features}, {row.num_samples:,})"
