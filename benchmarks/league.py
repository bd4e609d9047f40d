"""The table and the figure of a league of methods: ``python -m benchmarks.league RUN``.

``RUN`` is the folder of a finished run of the preset ``league``, or of another in which students of one recipe were
trained from several seeds. Nothing is computed anew: FIDs are those of ``metrics/few_step.csv``, compute that of the
ledger.

    python -m benchmarks.league . --write docs/league.md

The figure is written beside the page, with the name of the page.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.league_figure import league_figure
from benchmarks.league_page import Cell, Entry, league_page
from pipeline.config.graph import Config
from pipeline.config.lineage import stages_of
from pipeline.config.loading import load_config
from pipeline.config.model_names import TEACHER
from pipeline.config.seeds import recipes
from pipeline.metrics.image_row import ImageRow
from pipeline.report.drawing import png
from pipeline.report.few_step_csv import read_few_step_csv
from pipeline.report.images.comparisons import STUDENT_STEPS
from pipeline.report.ledger import Ledger, load_ledger
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError


def main() -> None:
    """Reads, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the finished run")
    parser.add_argument("--write", type=Path, help="page to write, with its figure beside it as a .png")
    options = parser.parse_args()
    try:
        write_league(options.run, options.write)
    except StraightflowError as error:
        raise SystemExit(str(error)) from error


def write_league(run: Path, page: Path | None) -> None:
    """Prints the page of the run in the folder ``run``; writes it to ``page``, and the figure, unless that is None.

    Raises:
        StraightflowError: If the run is not finished, is one on points, or measured no student.
    """
    config = load_config(run / "params.yaml")
    rows = read_few_step_csv(run / "metrics/few_step.csv", ImageRow)
    found = entries(config, rows, load_ledger(run, config))
    figure = None if page is None else page.with_suffix(".png")
    lines = league_page(config.name, found, config.evaluate.num_samples, None if figure is None else figure.name)
    print("\n".join(lines))
    if page is not None and figure is not None:
        with atomic_file(figure) as temporary:
            temporary.write_bytes(png(league_figure(found)))
        with atomic_file(page) as temporary:
            temporary.write_text("\n".join(lines) + "\n", "utf-8")


def entries(config: Config, rows: Sequence[ImageRow], ledger: Ledger) -> list[Entry]:
    """The teacher and the couplings as far as they were measured, then every recipe with a measured student.

    Rows are those of few steps by Euler's method, or of any solver for the teacher, at ``evaluate.num_samples`` images.

    Raises:
        StraightflowError: If no student was measured.
    """
    rows = [row for row in rows if row.num_samples == config.evaluate.num_samples]
    by_model = {name: [row for row in rows if row.model == name and row.solver == "euler"] for name in config.students}
    students = [
        _student_entry(config, recipe, [name for name in names if by_model[name]], by_model, ledger)
        for recipe, names in recipes(config).items()
        if any(by_model[name] for name in names)
    ]
    if not students:
        raise StraightflowError(
            expected=f"students measured by euler at {config.evaluate.num_samples} images each",
            found="none in metrics/few_step.csv",
            mend="name them in evaluate.models and run `dvc repro`",
        )
    teacher = [row for row in rows if row.model == TEACHER]
    others = [Entry(TEACHER, "its best solver", 1, _best_cells(teacher))] if teacher else []
    for name in config.couplings:
        # The same images for any number of steps.
        pairs = [row for row in rows if row.is_couplings and row.model.endswith(f"@{name}")]
        cells = {(row.features, steps): Cell.of([row]) for row in pairs for steps in STUDENT_STEPS}
        others += [Entry(f"couplings@{name}", "what is learned", 1, cells)] if pairs else []
    return others + students


def _student_entry(
    config: Config, recipe: str, names: Sequence[str], rows: dict[str, list[ImageRow]], ledger: Ledger
) -> Entry:
    student = config.students[names[0]]
    measured = [row for name in names for row in rows[name] if row.num_steps in STUDENT_STEPS]
    cells = {
        key: Cell.of([row for row in measured if (row.features, row.num_steps) == key])
        for key in dict.fromkeys((row.features, row.num_steps or 0) for row in measured)
    }
    totals = [compute.forward_equivalents for name in names if (compute := ledger.cost(name)) is not None]
    seconds = [value for name in names if (value := _training_seconds(config, name, ledger)) is not None]
    start = next((other for other, of_other in recipes(config).items() if student.init in of_other), student.init)
    return Entry(
        recipe,
        f"{student.method.name} from {start}",
        len(names),
        cells,
        compute=round(statistics.mean(totals)) if len(totals) == len(names) else None,
        seconds=statistics.mean(seconds) if len(seconds) == len(names) else None,
        is_student=True,
    )


def _training_seconds(config: Config, name: str, ledger: Ledger) -> float | None:
    """Of a student and the students that it comes from; None if one left no record."""
    stages = [stage for stage in stages_of(config, name) if stage.startswith("student@")]
    computes = [item.compute for item in ledger.stages if item.stage in stages]
    known = [compute.seconds for compute in computes if compute is not None]
    return sum(known) if len(known) == len(stages) else None


def _best_cells(rows: Sequence[ImageRow]) -> dict[tuple[str, int], Cell]:
    keys = dict.fromkeys((row.features, row.num_steps or 0) for row in rows if row.num_steps in STUDENT_STEPS)
    of_key = {key: [row for row in rows if (row.features, row.num_steps) == key] for key in keys}
    return {key: Cell.of([min(found, key=lambda row: row.fid)]) for key, found in of_key.items()}


if __name__ == "__main__":
    main()
