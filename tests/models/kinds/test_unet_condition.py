"""Stable Diffusion's network in its stock pipeline, where transformers, an extra, is there to read text."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from helpers.small_text_model import PROMPTS, save_stable_diffusion, small_text_encoder

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.pretrained import Promised
from pipeline.config.solver import SolverConfig
from pipeline.models.networks import load_network, starting_network
from pipeline.models.pretrained import adopt_pretrained
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError

X = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2))

if importlib.util.find_spec("transformers") is not None:

    @pytest.mark.parametrize("num_steps", [1, 2, 4])
    def test_a_student_in_the_stock_pipeline_takes_our_euler_steps(num_steps: int, runtime, tmp_path: Path) -> None:
        from diffusers import StableDiffusionPipeline

        adopt(tmp_path)
        save_student(starting_network(load_network(tmp_path / "teacher")), tmp_path / "student", tmp_path / "teacher")
        euler = SolverConfig(name="euler", num_steps=num_steps)
        ours = load_sampler(tmp_path / "student", runtime).sample(X, euler, torch.arange(3)).x
        stock = StableDiffusionPipeline.from_pretrained(tmp_path / "student")
        drawn = stock(
            list(PROMPTS), latents=X, guidance_scale=1.0, num_inference_steps=num_steps, output_type="latent"
        ).images
        assert torch.allclose(drawn, ours, rtol=0, atol=1e-6)

    def test_an_encoder_of_another_width_than_the_network_reads_is_refused(tmp_path: Path) -> None:
        save_stable_diffusion(tmp_path / "theirs", DDIMScheduler())
        small_text_encoder(width=16).save_pretrained(tmp_path / "theirs/text_encoder")
        with pytest.raises(StraightflowError, match=r"'encoder_hidden_states': 8(.|\n)*'encoder_hidden_states': 16"):
            adopt(tmp_path)
        assert not (tmp_path / "teacher").exists()

    def test_an_encoder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
        save_stable_diffusion(tmp_path / "theirs", DDIMScheduler())
        (tmp_path / "theirs/text_encoder/config.json").write_text("{")
        with pytest.raises(StraightflowError, match="tokenizers and text encoders that read prompts"):
            adopt(tmp_path)


def adopt(folder: Path) -> None:
    """The model in ``theirs``, saved if there is none, as ``teacher``."""
    if not (folder / "theirs").exists():
        save_stable_diffusion(folder / "theirs", DDIMScheduler())
    (folder / "prompts.txt").write_text("\n".join(PROMPTS))
    autoencoder = AutoencoderConfig(source="teacher", latent_channels=4, downsampling=1)
    promised = Promised(prompts=str(folder / "prompts.txt")).of_latents(autoencoder, 3)
    adopt_pretrained(str(folder / "theirs"), (4, 8, 8), folder / "teacher", promised=promised)
