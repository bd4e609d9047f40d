"""Code for the kinds of models; that it runs, and what it draws, is tested where a model is published."""

from __future__ import annotations

from diffusers import DDPMScheduler, ScoreSdeVeScheduler

from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.models.accepted_teacher import AcceptedFlow, AcceptedTeacher
from pipeline.report.publishing.snippets import Drawing, exact_images, pipeline_call
from pipeline.report.publishing.stock_model import Decoder, StockModel


def drawing(model: AcceptedTeacher | AcceptedFlow) -> Drawing:
    return Drawing("me/model", StockModel(model), 2, "bf16")


def test_a_call_of_the_stock_pipeline_is_for_flows_without_classes() -> None:
    assert "num_inference_steps=2" in (pipeline_call(drawing(AcceptedFlow((1, 8, 8), None))) or "")
    assert pipeline_call(drawing(AcceptedFlow((1, 8, 8), 10))) is None
    noisy = read_noise_schedule(DDPMScheduler().config | {"_class_name": "DDPMScheduler"})
    assert pipeline_call(drawing(AcceptedTeacher((1, 8, 8), None, noisy))) is None


def test_latents_that_are_not_square_are_not_drawn_by_the_call_of_their_pipeline() -> None:
    """``LDMPipeline`` takes one side for both."""
    for shape, is_drawn in (((2, 4, 4), True), ((2, 4, 6), False)):
        decoder = Decoder("vqvae", "VQModel", (1, 2 * shape[1], 2 * shape[2]), 1.0, 0.0, 3)
        of_latents = Drawing("me/model", StockModel(AcceptedFlow(shape, None), decoder=decoder), 2, "fp32")
        assert (pipeline_call(of_latents) is not None) == is_drawn
        assert "split(3)" in (exact_images(of_latents) or "")


def test_a_variance_exploding_process_has_no_stock_solver_of_its_ode() -> None:
    exploding = read_noise_schedule(ScoreSdeVeScheduler().config | {"_class_name": "ScoreSdeVeScheduler"})
    assert exact_images(drawing(AcceptedTeacher((3, 8, 8), None, exploding))) is None


def test_network_calls_have_the_precision_that_was_measured() -> None:
    assert "torch.autocast" in (exact_images(drawing(AcceptedFlow((1, 8, 8), None))) or "")
