from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMPipeline, DiffusionPipeline

from pipeline.config import SolverConfig
from pipeline.models import load_sampler
from pipeline.student import predict_velocity, save_student


def test_stock_diffusers_at_one_step_equals_one_euler_step_to_the_bit(tiny_unet, runtime, tmp_path: Path) -> None:
    save_student(tiny_unet, tmp_path / "student")
    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "student")
    assert isinstance(pipeline, DDPMPipeline)
    theirs = pipeline(
        batch_size=3, num_inference_steps=1, generator=torch.Generator().manual_seed(5), output_type="pt"
    ).images
    x_0 = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    ours = load_sampler(tmp_path / "student", runtime).sample(x_0, SolverConfig(name="euler", num_steps=1))
    assert ours.nfe == 1
    assert torch.equal((ours.x / 2 + 0.5).clamp(0, 1), theirs)


def test_time_runs_from_noise_to_image(tiny_unet) -> None:
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        at_noise = predict_velocity(tiny_unet, x, torch.zeros(2))
        assert torch.equal(at_noise, -tiny_unet(x, torch.full((2,), 1000.0)).sample)
