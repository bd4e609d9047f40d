"""Students that learn features: what has none to learn, and which models learned some."""

from __future__ import annotations

import pytest
from helpers.composition import changed, composed

from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.config.taught_features import taught_features
from pipeline.system.errors import StraightflowError

FRECHET = {"name": "frechet", "share_at_noise": 0.75}


def config(changes: dict[str, object], preset: str = "smoke") -> Config:
    return parse_config(changed(preset, changes), origin="test")


@pytest.mark.parametrize("name", ["auto", "classifier", "rotation"])
def test_features_that_are_trained_here_can_be_learned(name: str) -> None:
    found = config({"students.few_step.method": FRECHET, "features.name": name})
    assert found.students["few_step"].method.learns_features


@pytest.mark.parametrize(
    ("preset", "changes", "problem"),
    [
        ("smoke", {"features.name": "inception"}, "features.name is inception.*no gradient; set features.name: auto"),
        ("smoke", {"features.name": "dinov2"}, "features.name is dinov2.*or give any_step"),
        ("toy_smoke", {}, "compares features of images, and points have none; give any_step"),
        (
            "smoke",
            {"students.few_step.method": FRECHET | {"momentum": 0.0, "generated_per_pair": 1}},
            r"students.few_step.method: its moments are of about \d+ images, fewer than features \(\d+\); raise",
        ),
    ],
)
def test_what_has_no_features_to_learn_is_refused(preset: str, changes: dict[str, object], problem: str) -> None:
    with pytest.raises(StraightflowError, match=problem):
        config({"students.few_step.method": FRECHET} | changes, preset)


def test_latents_are_not_decoded_to_learn_features_of_their_images() -> None:
    content = composed("preset=mnist_latent")
    name = content["headline"]
    content["students"][name]["method"] = FRECHET
    with pytest.raises(StraightflowError, match=f"students.{name}.method frechet .*makes latents.*give any_step"):
        parse_config(content, origin="test")


def test_a_model_was_taught_features_if_it_or_what_it_comes_from_learned_them() -> None:
    content = composed("preset=smoke")
    content["students"]["round1"]["method"] = FRECHET
    of = Config.model_validate(content)
    assert taught_features(of, "teacher") == ()
    assert taught_features(of, "round1") == ("round1",)
    # Round 2 learns what round 1 draws, and starts from it.
    assert taught_features(of, "round2") == ("round1",)
