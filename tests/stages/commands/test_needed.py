"""Folders that stages open in ``runs/``, found again by the names of what a run needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.small_latent_run import latent_run
from helpers.small_run import small_run

from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.couplings.acceptance import write_acceptance
from pipeline.system.errors import InterruptedRunError
from stages import autoencoder, classifier, couplings, data, latents, paths, student, teacher, training
from stages.commands.needed import needed_stores, needed_trainings


def configured(folder: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(folder)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return load_config(Path("params.yaml"))


def folder_begun(stage: Any, config: Config, *arguments: str) -> str:
    """Name of the folder of checkpoints that a training stage opens; it is interrupted there."""
    chosen: list[str] = []

    def interrupted(*given: Any, **_: object) -> None:
        chosen.append(given[5].name)
        raise InterruptedRunError("asked to stop")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train", interrupted)
        with pytest.raises(InterruptedRunError):
            stage.main(config, list(arguments))
    return chosen[0]


def test_of_a_run_on_latents_all_that_was_begun_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = latent_run()
    heun = {"name": "heun", "num_steps": 2}
    content["couplings"]["round1"] |= {
        "num_pairs": 40, "shard_pairs": 20, "image_to_noise": {"share": 0.5, "solver": heun}
    }  # fmt: skip
    config = configured(tmp_path, content, monkeypatch)
    data.main(config, [])
    begun = {folder_begun(autoencoder, config)}
    for stage in (autoencoder, latents):
        stage.main(config, [])
    begun.add(folder_begun(teacher, config))
    needed = needed_trainings(config)
    assert begun <= needed.names
    assert needed.untold.keys() == {"round1", "few_step"}  # there is nothing yet that they start from
    teacher.main(config, [])
    couplings.main(config, ["round1", "--worker", "0", "--workers", "1"])  # which publishes nothing
    assert {path.name for path in paths.RUNS.glob("couplings-*")} == needed_stores(config).names


def test_of_a_student_that_learns_features_what_was_begun_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = small_run(
        "features.name=classifier",
        "features.judge.name=classifier",
        *(f"features.{key}.min_accuracy=0.1" for key in ("classifier", "judge.classifier")),
    )
    content["students"]["round1"]["method"] = {"name": "frechet"}
    config = configured(tmp_path, content, monkeypatch)
    for stage, arguments in ((data, []), (classifier, []), (teacher, []), (couplings, ["round1"])):
        stage.main(config, arguments)
    write_acceptance(paths.couplings("round1"), paths.gate("round1"))
    assert folder_begun(student, config, "round1") in needed_trainings(config).names
