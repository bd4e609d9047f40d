from __future__ import annotations

from helpers.composition import composed

from pipeline.config.graph import Config
from pipeline.config.lineage import stages_of


def test_a_model_comes_from_its_training_its_start_its_couplings_and_their_source() -> None:
    params = composed("preset=toy_smoke")
    flow = next(iter(params["flows"]))
    params["rounds"]["round1"]["couplings"]["source"] = flow
    params["rounds"]["round1"]["train"]["init"] = "teacher"
    params["rounds"]["round2"]["couplings"] = params["rounds"]["round1"]["couplings"] | {"source": "round1"}
    params["rounds"]["round2"]["train"]["init"] = "round1"
    params["distill"] |= {"couplings": "round1", "init": "round2"}
    config = Config.model_validate(params)
    first = (f"flow@{flow}", "couplings@round1", "teacher", "train@round1")
    second = (*first, "couplings@round2", "train@round2")
    assert stages_of(config, "teacher") == ("teacher",)
    assert stages_of(config, flow) == (f"flow@{flow}",)
    assert stages_of(config, "round1") == first
    assert stages_of(config, "round2") == second
    # The couplings of round 1 are needed twice and counted once.
    assert stages_of(config, "distilled") == (f"flow@{flow}", "couplings@round1", *first[2:], *second[4:], "distill")
