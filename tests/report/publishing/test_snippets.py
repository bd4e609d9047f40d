"""Code for the kinds of models; that it runs, and what it draws, is tested where a model is published."""

from __future__ import annotations

from diffusers import DDPMScheduler, ScoreSdeVeScheduler

from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.models.accepted_teacher import AcceptedFlow, AcceptedTeacher
from pipeline.report.publishing.snippets import Drawing, exact_images, pipeline_call


def drawing(model: AcceptedTeacher | AcceptedFlow) -> Drawing:
    return Drawing("me/model", model, 2, "bf16")


def test_a_call_of_the_stock_pipeline_is_for_flows_without_classes() -> None:
    assert "num_inference_steps=2" in (pipeline_call(drawing(AcceptedFlow((1, 8, 8), None))) or "")
    assert pipeline_call(drawing(AcceptedFlow((1, 8, 8), 10))) is None
    noisy = read_noise_schedule(DDPMScheduler().config | {"_class_name": "DDPMScheduler"})
    assert pipeline_call(drawing(AcceptedTeacher((1, 8, 8), None, noisy))) is None


def test_a_variance_exploding_process_has_no_stock_solver_of_its_ode() -> None:
    exploding = read_noise_schedule(ScoreSdeVeScheduler().config | {"_class_name": "ScoreSdeVeScheduler"})
    assert exact_images(drawing(AcceptedTeacher((3, 8, 8), None, exploding))) is None


def test_network_calls_have_the_precision_that_was_measured() -> None:
    assert "torch.autocast" in (exact_images(drawing(AcceptedFlow((1, 8, 8), None))) or "")
