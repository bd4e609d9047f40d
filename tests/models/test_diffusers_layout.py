"""Teachers as diffusers' pipelines save them, adopted and sampled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiffusionPipeline,
    PNDMScheduler,
    ScoreSdeVePipeline,
    ScoreSdeVeScheduler,
)
from helpers.small_unet import small_unet

from pipeline.config.solver import SolverConfig
from pipeline.models.pretrained import adopt_pretrained
from pipeline.models.sampler import load_sampler

FOURIER = {"time_embedding_type": "fourier", "center_input_sample": True}
ZERO_SNR = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
TEACHERS = {
    "ddpm": (DDPMPipeline, DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="sample"), {}),
    "ddim": (DDIMPipeline, DDIMScheduler(beta_schedule="scaled_linear", **ZERO_SNR), {}),
    "pndm": (DDPMPipeline, PNDMScheduler(prediction_type="v_prediction"), {}),
    "ve": (ScoreSdeVePipeline, ScoreSdeVeScheduler(sigma_max=50.0), FOURIER),
    "learned_variance": (DDPMPipeline, DDPMScheduler(variance_type="learned_range"), {"out_channels": 6}),
    "classes": (DDPMPipeline, DDPMScheduler(), {"num_class_embeds": 4}),
}


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m", "unipc", "heun"])
def test_a_saved_pipeline_is_a_teacher(name: str, solver: str, runtime, tmp_path: Path) -> None:
    pipeline_class, scheduler, changes = TEACHERS[name]
    unet = small_unet(3, **changes)
    pipeline_class(unet=unet, scheduler=scheduler).save_pretrained(tmp_path / "theirs")
    adopt_pretrained(str(tmp_path / "theirs"), (3, 8, 8), tmp_path / "teacher")
    theirs, ours = (load_sampler(tmp_path / folder, runtime) for folder in ("theirs", "teacher"))
    x_0 = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 3]) if name == "classes" else None
    # One step of DDIM is the estimate of x_1 at the noisiest level, written out here.
    one = ours.sample(x_0, SolverConfig(name="ddim", num_steps=1), labels).x
    with torch.no_grad():
        if name == "ve":
            seen = (100.0 * x_0 + 1) / 2
            expected = 2 * (seen + 50.0**2 * unet(seen, torch.full((2,), 50.0)).sample) - 1
        else:
            output = unet(x_0, torch.tensor([999, 999]), labels).sample[:, :3]
            alpha_bar = scheduler.alphas_cumprod[-1]
            alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
            kind = scheduler.config["prediction_type"]
            expected = {
                "sample": lambda: output,
                "v_prediction": lambda: alpha * x_0 - sigma * output,
                "epsilon": lambda: (x_0 - sigma * output) / alpha,
            }[kind]()
    assert torch.allclose(one, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    several = SolverConfig(name=solver, num_steps=5)
    assert torch.equal(theirs.sample(x_0, several, labels).x, ours.sample(x_0, several, labels).x)
    assert torch.isfinite(ours.sample(x_0, several, labels).x).all()
    assert isinstance(DiffusionPipeline.from_pretrained(tmp_path / "teacher"), (DDPMPipeline, ScoreSdeVePipeline))
