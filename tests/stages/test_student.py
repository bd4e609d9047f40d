"""A student that follows a teacher, by its stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.composition import composed
from helpers.small_unet import small_unet

import stages.student as stage
from pipeline.config.couplings import CouplingsConfig
from pipeline.config.loading import parse_config
from pipeline.config.noise import NoiseConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.models.flops import flops_per_sample
from pipeline.models.networks import load_network
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.errors import StraightflowError
from stages import classifier, data, paths


@pytest.fixture
def store(runtime, tmp_path: Path, monkeypatch) -> CouplingStore:
    """Twenty pairs of a small teacher in ``models/teacher``, below a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    save_teacher(small_unet(), paths.model("teacher"), training_scheduler())
    solver = SolverConfig(name="ddim", num_steps=2)
    made = CouplingsConfig(
        source="teacher", num_pairs=20, solver=solver, batch_size=20, shard_pairs=20, dtype="uint8", seed=1
    )
    folder = paths.couplings("round1")
    generate_couplings(load_sampler(paths.model("teacher"), runtime), made, tmp_path / "runs", folder)
    return CouplingStore(folder)


def test_the_teacher_is_followed_beside_the_network_that_starts_from_it(
    store: CouplingStore, runtime: Runtime, monkeypatch
) -> None:
    content = composed("preset=smoke", "compute.precision=fp32")
    content["students"]["halved"] = content["students"]["few_step"] | {
        "init": "teacher", "method": {"name": "progressive", "num_steps": 2}, "num_steps": 3, "batch_size": 8,
        "warmup_steps": 0,
    }  # fmt: skip
    monkeypatch.setattr(stage, "require_acceptance", lambda *_: None)
    stage.main(parse_config(content, origin="test"), ["halved"])
    compute = json.loads(paths.training_cost("halved").read_text())["compute"]
    teacher, student = load_network(paths.model("teacher")), load_network(paths.model("halved"))
    flops, of_teacher = (flops_per_sample(network, (1, 8, 8), None) for network in (student, teacher))
    images = 3 * 8
    assert (compute["samples_forward"], compute["samples_backward"]) == (images * (1 + 2), images)
    assert compute["flops"] == images * (flops.forward + flops.backward + 2 * of_teacher.forward)
    assert load_sampler(paths.model("halved"), runtime).noise_schedule is None
    assert len(store) == 20


def test_features_are_learned_as_the_classifier_stage_leaves_them(store: CouplingStore, monkeypatch) -> None:
    content = composed("preset=smoke", "compute.precision=fp32")
    content["students"]["fine"] = content["students"]["few_step"] | {
        "init": "teacher", "method": {"name": "frechet", "share_at_noise": 0.5}, "num_steps": 3, "batch_size": 8,
        "warmup_steps": 0,
    }  # fmt: skip
    for key in ("classifier", "judge.classifier"):
        section = content["features"]["judge" if key.startswith("judge") else "classifier"]
        section.get("classifier", section).update(num_features=8, num_steps=2, min_accuracy=0.0)
    config = parse_config(content, origin="test")
    monkeypatch.setattr(stage, "require_acceptance", lambda *_: None)
    with pytest.raises(StraightflowError, match=r"features of 1×8×8 images to learn from(.|\n)*dvc repro classifier"):
        stage.main(config, ["fine"])
    for name in (data, classifier):
        name.main(config, [])
    assert [item.name for item in paths.learnable_features("any_step").iterdir()] == ["unused.json"]
    stage.main(config, ["fine"])
    compute = json.loads(paths.training_cost("fine").read_text())["compute"]
    # Pairs, own steps of half of them, and two generated images each; all but the own steps have gradients.
    images = 3 * 8
    assert (compute["samples_forward"], compute["samples_backward"]) == (images * 3.5, images * 3)
    assert len(store) == 20


def test_a_model_of_other_noise_than_the_couplings_is_not_followed(store: CouplingStore, runtime: Runtime) -> None:
    store.manifest = store.manifest.model_copy(update={"noise": NoiseConfig(std=2.0)})
    with pytest.raises(StraightflowError, match=r"followed by halved(.|\n)*change init or couplings of halved"):
        stage.model_to_follow("halved", paths.model("teacher"), store, runtime)
