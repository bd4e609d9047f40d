from __future__ import annotations

from helpers.composition import composed, of_latents

from pipeline.config.graph import Config
from pipeline.config.lineage import stages_of


def test_a_model_comes_from_its_training_its_start_its_couplings_and_their_source() -> None:
    params = composed("preset=toy_smoke")
    flow = next(iter(params["flows"]))
    params["couplings"]["round1"]["source"] = flow
    params["couplings"]["round2"] = params["couplings"]["round1"] | {"source": "round1"}
    params["students"]["round1"] |= {"couplings": "round1", "init": "teacher"}
    params["students"]["round2"] |= {"couplings": "round2", "init": "round1"}
    params["students"]["few_step"] |= {"couplings": "round1", "init": "round2"}
    config = Config.model_validate(params)
    first = (f"flow@{flow}", "couplings@round1", "teacher", "student@round1")
    second = (*first, "couplings@round2", "student@round2")
    assert stages_of(config, "teacher") == ("teacher",)
    assert stages_of(config, flow) == (f"flow@{flow}",)
    assert stages_of(config, "round1") == first
    assert stages_of(config, "round2") == second
    # The couplings of round 1 are needed twice and counted once.
    assert stages_of(config, "few_step") == (*second, "student@few_step")


def test_models_of_latents_come_from_their_autoencoder_and_from_the_encoded_data() -> None:
    config = Config.model_validate(of_latents(composed("preset=smoke")))
    first = ("autoencoder@data", "latents@data", "teacher")
    assert stages_of(config, "teacher") == first
    assert stages_of(config, "round1") == (*first, "couplings@round1", "student@round1")
