"""Verifies the configuration, the images and the teacher before anything is trained.

It records the identity of the images and the teacher, and the code that each stage runs. Stages depend on these
records, so they run again exactly when one of them changed, on disk or on the hub. ``make repro`` and ``make check``
call it every time; a plain ``dvc repro`` runs it when the configuration or the code changed. It also notes where
``params.yaml`` differs from what its preset composes to.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.config.features import classes_needed_by
from pipeline.config.graph import Config
from pipeline.data.check import DataFacts, check_data
from pipeline.models.accepted_teacher import AcceptedModel
from pipeline.models.check import check_teacher
from pipeline.system.atomic import write_json
from pipeline.system.whole_files import read_json
from stages import paths
from stages.code import STAGES, code_of
from stages.composition import note_on
from stages.entry import PARAMS, run
from stages.fitting import require_enough, require_fitting, require_states_to_learn
from stages.inputs import require_apart_from_outputs
from stages.surroundings import require_networks_fit, require_surroundings


def main(config: Config, arguments: list[str]) -> None:
    """Writes inputs/data.json, inputs/teacher.json and inputs/code; the configuration is validated by being read."""
    del arguments
    require_apart_from_outputs(config)
    require_surroundings(config)
    require_networks_fit(config)
    note = note_on(PARAMS)
    if note is not None:
        print(f"note: {note}", file=sys.stderr)
    needs_classes = classes_needed_by(config.features)
    facts: list[DataFacts] = []
    teachers: list[AcceptedModel] = []
    data = check_data(config.data, _previous(paths.DATA_INPUT), classes_needed_by=needs_classes, tell=facts.append)
    require_enough(config, facts)
    teacher = check_teacher(
        config.teacher,
        config.data,
        _previous(paths.TEACHER_INPUT),
        autoencoder=config.autoencoder,
        tell=teachers.append,
    )
    require_fitting(config, teachers, facts)
    require_states_to_learn(config, teachers)
    for stage in STAGES:
        write_json(paths.code(stage), code_of(stage))
    write_json(paths.DATA_INPUT, data)
    write_json(paths.TEACHER_INPUT, teacher)
    images, model = data["location"] or data["source"], teacher["pretrained"] or "trained here"
    if "content" in data:
        images = f"{images} ({data['content']})"
    print(f"configuration: valid; images: {images}; teacher: {model}")


def _previous(path: Path) -> dict[str, object]:
    """What the last check wrote; empty if there was none or it cannot be read."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


if __name__ == "__main__":
    run(main)
