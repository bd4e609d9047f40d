"""Teachers of every kind, each made on the spot and saved by stock diffusers: couplings, a student, its stock pipeline.

Each row is a small random network with the scheduler of its kind. The image that our couplings hold for a noise is what
stock diffusers draws from that noise with the same deterministic scheduler and steps.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DiffusionPipeline,
    DiTPipeline,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LDMPipeline,
    ScoreSdeVePipeline,
    ScoreSdeVeScheduler,
    UNet2DModel,
    UniPCMultistepScheduler,
)
from helpers.coupling_models import couplings
from helpers.small_autoencoder import small_autoencoder, with_autoencoder
from helpers.small_dit import small_dit_pipeline
from helpers.small_text_model import PROMPTS, save_stable_diffusion, save_stable_diffusion_3
from helpers.small_training import OBJECTIVE, training_config
from helpers.small_unet import small_unet

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.couplings import GateConfig
from pipeline.config.pretrained import Promised
from pipeline.config.solver import SolverConfig
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.models.pretrained import adopt_pretrained
from pipeline.models.sampler import load_sampler
from pipeline.models.student import flow_scheduler, save_student
from pipeline.training.loop import train
from stages.student import starting_student

NUM_PAIRS, NUM_STEPS = 6, 5
DDIM = SolverConfig(name="ddim", num_steps=NUM_STEPS)
# Random networks make images of any range, which says nothing here.
GATE = GateConfig(max_clipped_fraction=1.0, max_reintegration_error=1e-4, reintegrated_pairs=NUM_PAIRS)

Draw = Callable[[Path, torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class Row:
    """One kind of teacher.

    Attributes:
        save: Saves it in a folder as stock diffusers does.
        draw: Images (batch, …) that stock diffusers draws from a folder, noise and classes.
        solver: The solver of couplings that is the same.
        num_classes: Of the teacher.
        is_latent: Whether it has an autoencoder; ``draw`` returns latents then.
        settings: Further arguments with which it is adopted.
        draw_student: Images that its student's stock pipeline draws in one step; None for that of a ``UNet2DModel``.
    """

    save: Callable[[Path], object]
    draw: Draw
    solver: SolverConfig = DDIM
    shape: tuple[int, ...] = (1, 8, 8)
    num_classes: int | None = None
    is_latent: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    draw_student: Draw | None = None


def trailing_ddim(**process: Any) -> DDIMScheduler:
    """DDIM from the noisiest level to the image, unclipped (Lin et al. 2024, sec. 3.3)."""
    return DDIMScheduler(clip_sample=False, timestep_spacing="trailing", **process)


def saved_ddim(unet: dict[str, Any] | None = None, **process: Any) -> Callable[[Path], object]:
    def save(folder: Path) -> None:
        DDIMPipeline(unet=small_unet(**unet or {}), scheduler=trailing_ddim(**process)).save_pretrained(folder)

    return save


def drawn_by_pipeline(pipeline: DiffusionPipeline, noise: torch.Tensor, num_steps: int) -> torch.Tensor:
    """What a stock pipeline draws where its noise is ``noise``, as its scheduler's last step leaves it: not clamped."""
    states, step = [noise], pipeline.scheduler.step

    def recorded_step(*args: Any, **named: Any) -> Any:
        output = step(*args, **named)
        states.append(output.prev_sample)
        return output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{type(pipeline).__module__}.randn_tensor", lambda shape, **_: noise.reshape(shape).clone())
        patch.setattr(pipeline.scheduler, "step", recorded_step)
        clamped = pipeline(batch_size=len(noise), num_inference_steps=num_steps, output_type="np").images
    images = states[-1]
    assert len(states) == num_steps + 1
    assert np.allclose(clamped, (images / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1), atol=1e-6)
    return images


def by_ddim_pipeline(folder: Path, noise: torch.Tensor, _labels: torch.Tensor | None) -> torch.Tensor:
    return drawn_by_pipeline(DDIMPipeline.from_pretrained(folder), noise, NUM_STEPS)


@torch.no_grad()
def by_unipc(folder: Path, noise: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """The network and the scheduler by hand, as no stock pipeline of a ``UNet2DModel`` passes classes."""
    unet = UNet2DModel.from_pretrained(folder, subfolder="unet")
    scheduler = UniPCMultistepScheduler.from_pretrained(
        folder, subfolder="scheduler", timestep_spacing="trailing", final_sigmas_type="zero"
    )
    scheduler.set_timesteps(NUM_STEPS)
    x = noise
    for time in scheduler.timesteps:
        x = scheduler.step(unet(x, time, labels).sample, time, x).prev_sample
    return x


def save_exploding(folder: Path) -> None:
    unet = small_unet(time_embedding_type="fourier", center_input_sample=True)
    scheduler = ScoreSdeVeScheduler(num_train_timesteps=NUM_STEPS, sigma_min=0.01, sigma_max=20.0)
    ScoreSdeVePipeline(unet=unet, scheduler=scheduler).save_pretrained(folder)


@torch.no_grad()
def by_euler_in_noise_scale(folder: Path, noise: torch.Tensor, _labels: torch.Tensor | None) -> torch.Tensor:
    """The ODE dx/dσ = -σ s of Song et al. 2021, by stock Euler; ``ScoreSdeVePipeline`` draws from the SDE only.

    Images are in [0, 1] there, and the noise scales of sampling those of training (app. C), all of which are visited.
    """
    pipeline = ScoreSdeVePipeline.from_pretrained(folder)
    levels = 0.01 * (20.0 / 0.01) ** np.linspace(1, 0, NUM_STEPS)
    euler = EulerDiscreteScheduler()
    euler.set_timesteps(NUM_STEPS)
    euler.sigmas = torch.tensor([*levels, 0.0], dtype=torch.float32)
    x = noise * 20.0 + 0.5  # where images of [-1, 1] start from 0
    for time, level in zip(euler.timesteps, euler.sigmas[:-1], strict=True):
        score = pipeline.unet(x, level.expand(len(x))).sample
        euler.is_scale_input_called = True
        x = euler.step(-level * score, time, x).prev_sample
    return 2 * x - 1


def saved_flow(scheduler: Any) -> Callable[[Path], object]:
    return lambda folder: DDPMPipeline(unet=small_unet(), scheduler=scheduler).save_pretrained(folder)


def by_flow_pipeline(folder: Path, noise: torch.Tensor, _labels: torch.Tensor | None) -> torch.Tensor:
    return drawn_by_pipeline(DDPMPipeline.from_pretrained(folder), noise, NUM_STEPS)


def at_times_of(scheduler: Any, **settings: Any) -> SolverConfig:
    """Euler's method between the noise levels at which a stock scheduler calls a flow."""
    scheduler.set_timesteps(NUM_STEPS)
    return SolverConfig(
        name="euler", num_steps=NUM_STEPS, grid=tuple((1 - scheduler.sigmas.double()).tolist()), **settings
    )


GUIDED = SolverConfig(name="ddim", num_steps=NUM_STEPS, guidance={"scale": 2.5, "interval": (0.1, 0.5)})
NULL = {"promised": Promised(null_class=3)}


@torch.no_grad()
def by_guided_ddim(folder: Path, noise: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """As ``DiTPipeline`` guides a network by its last class; within an interval of noise."""
    unet = UNet2DModel.from_pretrained(folder, subfolder="unet")
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    scheduler.set_timesteps(NUM_STEPS)
    x, null = noise, torch.full_like(labels, 3)
    guided = []
    for time in scheduler.timesteps:
        alpha, sigma = scheduler.alphas_cumprod[time].sqrt(), (1 - scheduler.alphas_cumprod[time]).sqrt()
        output = unet(x, time, labels).sample
        guided.append(bool(0.1 <= alpha / (alpha + sigma) <= 0.5))
        if guided[-1]:
            unconditional = unet(x, time, null).sample
            output = unconditional + 2.5 * (output - unconditional)
        x = scheduler.step(output, time, x).prev_sample
    assert guided == [False, False, True, True, False]
    return x


def saved_edm(scheduler: Any) -> Callable[[Path], object]:
    """No pipeline of a ``UNet2DModel`` scales its input, so that of such a network only saves it."""
    return lambda folder: DDPMPipeline(unet=small_unet(), scheduler=scheduler).save_pretrained(folder)


def by_edm(scheduler: type) -> Draw:
    @torch.no_grad()
    def draw(folder: Path, noise: torch.Tensor, _labels: torch.Tensor | None) -> torch.Tensor:
        unet = UNet2DModel.from_pretrained(folder, subfolder="unet")
        sampled = scheduler.from_pretrained(folder, subfolder="scheduler")
        sampled.set_timesteps(NUM_STEPS)
        x = noise * sampled.init_noise_sigma
        for time in sampled.timesteps:
            x = sampled.step(unet(sampled.scale_model_input(x, time), time).sample, time, x).prev_sample
        return x

    return draw


UNCHANGED_SIDES = AutoencoderConfig(source="teacher", latent_channels=4, downsampling=1)
LATENTS = {"promised": Promised().of_latents(AutoencoderConfig(source="teacher", latent_channels=2, downsampling=2), 1)}


def saved_latent(kind: str) -> Callable[[Path], object]:
    def save(folder: Path) -> None:
        unet = small_unet(2, sample_size=4)
        LDMPipeline(small_autoencoder(kind), unet, trailing_ddim()).save_pretrained(folder)

    return save


def drawn_in_latents(pipeline: LDMPipeline, noise: torch.Tensor, num_steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The last latents of the stock pipeline of latent UNets where its noise is ``noise``, and what it decodes."""
    latents, images = [], []
    step, decode = pipeline.scheduler.step, pipeline.vqvae.decode

    def recorded_step(*args: Any, **named: Any) -> Any:
        output = step(*args, **named)
        latents.append(output.prev_sample)
        return output

    def recorded_decode(*args: Any, **named: Any) -> Any:
        output = decode(*args, **named)
        images.append(output.sample)
        return output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{type(pipeline).__module__}.randn_tensor", lambda shape, **_: noise.reshape(shape).clone())
        patch.setattr(pipeline.scheduler, "step", recorded_step)
        patch.setattr(pipeline.vqvae, "decode", recorded_decode)
        pipeline(batch_size=len(noise), num_inference_steps=num_steps, output_type="np")
    assert (len(latents), len(images)) == (num_steps, 1)
    return latents[-1], images[0]


def by_latent_pipeline(folder: Path, noise: torch.Tensor, _labels: torch.Tensor | None) -> torch.Tensor:
    return drawn_in_latents(LDMPipeline.from_pretrained(folder), noise, NUM_STEPS)[0]


def by_dit_pipeline(num_steps: int, guidance: float) -> Draw:
    """Latents as the scheduler's last step leaves them; where guided, those of the classes are the first half."""

    def draw(folder: Path, noise: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        pipeline = DiTPipeline.from_pretrained(folder)
        latents: list[torch.Tensor] = []
        step = pipeline.scheduler.step
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("diffusers.pipelines.dit.pipeline_dit.randn_tensor", lambda shape, **_: noise.reshape(shape))
            patch.setattr(
                pipeline.scheduler,
                "step",
                lambda *args, **named: latents.append((output := step(*args, **named)).prev_sample) or output,
            )
            pipeline(labels.tolist(), guidance_scale=guidance, num_inference_steps=num_steps, output_type="np")
        assert len(latents) == num_steps
        return latents[-1][: len(noise)]

    return draw


def save_dit(folder: Path) -> None:
    small_dit_pipeline(trailing_ddim()).save_pretrained(folder)


def by_text_pipeline(kind: str, num_steps: int, guidance: float, **absent: None) -> Draw:
    """Latents by a stock pipeline that takes prompts; parts that it was saved without must be named to open it."""

    def draw(folder: Path, noise: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        pipeline = getattr(diffusers, kind).from_pretrained(folder, **absent)
        texts = [PROMPTS[label] for label in labels.tolist()]
        return pipeline(
            texts, latents=noise, guidance_scale=guidance, num_inference_steps=num_steps, output_type="latent"
        ).images

    return draw


def saved_with_prompts(save: Callable[..., object], scheduler: Any) -> Callable[[Path], object]:
    def save_both(folder: Path) -> None:
        save(folder, scheduler)
        (folder.parent / "prompts.txt").write_text("\n".join(PROMPTS))

    return save_both


SHIFTED = FlowMatchEulerDiscreteScheduler(shift=3.0)
FLOW = {"promised": Promised("flow")}

ROWS: dict[str, Row] = {
    "epsilon": Row(saved_ddim(), by_ddim_pipeline),
    "v": Row(saved_ddim(prediction_type="v_prediction"), by_ddim_pipeline),
    "sample": Row(saved_ddim(prediction_type="sample"), by_ddim_pipeline),
    "zero signal-to-noise": Row(
        saved_ddim(prediction_type="v_prediction", rescale_betas_zero_snr=True), by_ddim_pipeline
    ),
    "variance exploding": Row(save_exploding, by_euler_in_noise_scale),
    "class-conditional": Row(
        saved_ddim({"num_class_embeds": 3}),
        by_unipc,
        SolverConfig(name="unipc", num_steps=NUM_STEPS),
        num_classes=3,
    ),
    "class-conditional, guided": Row(
        saved_ddim({"num_class_embeds": 4}), by_guided_ddim, GUIDED, num_classes=4, settings=NULL
    ),
    "non-square": Row(saved_ddim({"sample_size": (8, 4)}), by_ddim_pipeline, shape=(1, 8, 4)),
    "EDM": Row(saved_edm(EDMEulerScheduler()), by_edm(EDMEulerScheduler)),
    "EDM, v": Row(
        saved_edm(EDMEulerScheduler(prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential")),
        by_edm(EDMEulerScheduler),
    ),
    "EDM, second order": Row(
        saved_edm(EDMDPMSolverMultistepScheduler(sigma_max=60.0, rho=5.0)),
        by_edm(EDMDPMSolverMultistepScheduler),
        SolverConfig(name="dpmpp_2m", num_steps=NUM_STEPS),
    ),
    "flow": Row(saved_flow(flow_scheduler()), by_flow_pipeline, at_times_of(flow_scheduler()), settings=FLOW),
    "latent UNet": Row(
        saved_latent("AutoencoderKL"), by_latent_pipeline, shape=(2, 4, 4), is_latent=True, settings=LATENTS
    ),
    "latent UNet, quantised": Row(
        saved_latent("VQModel"), by_latent_pipeline, shape=(2, 4, 4), is_latent=True, settings=LATENTS
    ),
    "DiT, guided": Row(
        save_dit,
        by_dit_pipeline(NUM_STEPS, 2.5),
        SolverConfig(name="ddim", num_steps=NUM_STEPS, guidance={"scale": 2.5}),
        shape=(4, 4, 4),
        num_classes=1001,
        is_latent=True,
        settings={"promised": Promised(null_class=1000).of_latents(UNCHANGED_SIDES, 3)},
        draw_student=by_dit_pipeline(1, 1.0),
    ),
    "shifted flow": Row(saved_flow(SHIFTED), by_flow_pipeline, at_times_of(SHIFTED), settings=FLOW),
}

if importlib.util.find_spec("transformers") is not None:  # an extra: without it no stock pipeline reads text
    ROWS |= {
        "Stable Diffusion, guided": Row(
            saved_with_prompts(save_stable_diffusion, trailing_ddim(beta_schedule="scaled_linear")),
            by_text_pipeline("StableDiffusionPipeline", NUM_STEPS, 2.5),
            SolverConfig(name="ddim", num_steps=NUM_STEPS, guidance={"scale": 2.5}),
            shape=(4, 8, 8),
            num_classes=4,
            is_latent=True,
            settings={"promised": Promised(prompts="prompts.txt").of_latents(UNCHANGED_SIDES, 3)},
            draw_student=by_text_pipeline("StableDiffusionPipeline", 1, 1.0),
        ),
        "flow transformer, guided": Row(
            saved_with_prompts(save_stable_diffusion_3, SHIFTED),
            by_text_pipeline("StableDiffusion3Pipeline", NUM_STEPS, 2.5, text_encoder_3=None, tokenizer_3=None),
            at_times_of(SHIFTED, guidance={"scale": 2.5}),
            shape=(4, 8, 8),
            num_classes=4,
            is_latent=True,
            settings={"promised": Promised("flow", prompts="prompts.txt").of_latents(UNCHANGED_SIDES, 3)},
            draw_student=by_text_pipeline("StableDiffusion3Pipeline", 1, 1.0, text_encoder_3=None, tokenizer_3=None),
        ),
    }


def student_in_stock_diffusers(folder: Path, noise: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """One step of the stock pipeline; with classes of its parts, as the pipeline passes none."""
    if (folder / "vqvae").is_dir():
        return drawn_in_latents(LDMPipeline.from_pretrained(folder), noise, 1)[0]
    pipeline = DDPMPipeline.from_pretrained(folder)
    if labels is None:
        return drawn_by_pipeline(pipeline, noise, 1)
    pipeline.scheduler.set_timesteps(1)
    (time,) = pipeline.scheduler.timesteps
    with torch.no_grad():
        output = pipeline.unet(noise, time.expand(len(noise)), labels).sample
    return pipeline.scheduler.step(output, time, noise).prev_sample


def assert_close(ours: torch.Tensor, stock: torch.Tensor, limit: float) -> None:
    """The largest difference, beside the range of images or, of random networks, the larger one that they make."""
    assert (ours - stock).abs().max() < limit * max(1.0, float(stock.abs().max()))


@pytest.mark.parametrize("name", ROWS)
def test_couplings_are_what_stock_diffusers_draws_and_their_student_opens_there(
    name: str, runtime, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row, theirs, teacher = ROWS[name], tmp_path / "theirs", tmp_path / "teacher"
    row.save(theirs)
    adopt_pretrained(str(theirs), row.shape, teacher, **row.settings)

    # Couplings hold what stock diffusers draws from their noise.
    source = load_sampler(teacher, runtime)
    config = couplings(source="teacher", num_pairs=NUM_PAIRS, solver=row.solver, batch_size=4, dtype="float32")
    generate_couplings(source, config, tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    check_couplings(store, config, GATE, source)
    pairs = store.load(np.arange(NUM_PAIRS))
    assert store.manifest.num_classes == row.num_classes
    stock = row.draw(theirs, pairs["x_0"], pairs.get("labels"))
    assert pairs["x_1"].shape == stock.shape == (NUM_PAIRS, *row.shape)
    assert_close(pairs["x_1"], stock, 1e-4)
    assert (source.autoencoder is not None) == row.is_latent
    if row.draw is by_latent_pipeline:  # the decoded images too; the others' steps are looked at before decoding
        images = drawn_in_latents(LDMPipeline.from_pretrained(theirs), pairs["x_0"], NUM_STEPS)[1]
        assert images.shape == (NUM_PAIRS, 1, 8, 8)
        assert_close(source.to_pixels(pairs["x_1"]), images, 1e-4)
    assert not torch.allclose(stock, row.draw(theirs, pairs["x_0"].roll(1, 0), pairs.get("labels")), atol=0.1)

    # One step of reflow trains a student on them.
    student = starting_student("student", teacher, store, dropout=0.0)
    before = copy.deepcopy(student.state_dict())
    training = training_config(num_steps=1, batch_size=NUM_PAIRS, warmup_steps=0, log_every_steps=1)
    train(student, store, OBJECTIVE, training, runtime, tmp_path / "training", "student")
    assert not all(torch.equal(values, before[name]) for name, values in student.state_dict().items())

    # It opens in stock diffusers, where one step is one Euler step of ours.
    save_student(student, tmp_path / "student", teacher)
    euler = SolverConfig(name="euler", num_steps=1)
    ours = load_sampler(tmp_path / "student", runtime).sample(pairs["x_0"], euler, pairs.get("labels")).x
    stock = (row.draw_student or student_in_stock_diffusers)(tmp_path / "student", pairs["x_0"], pairs.get("labels"))
    assert_close(ours, stock, 1e-5)


def test_a_student_of_latents_takes_the_same_steps_in_its_stock_pipeline(runtime, tmp_path) -> None:
    """Exactly, as its scheduler's times are ours; and its images are those that its own autoencoder decodes."""
    save_student(small_unet(2, sample_size=4), tmp_path / "student", with_autoencoder(tmp_path))
    student, noise = load_sampler(tmp_path / "student", runtime), torch.randn(3, 2, 4, 4)
    for num_steps in (1, 2, 4):
        latents, images = drawn_in_latents(LDMPipeline.from_pretrained(tmp_path / "student"), noise, num_steps)
        ours = student.sample(noise, SolverConfig(name="euler", num_steps=num_steps)).x
        assert_close(ours, latents, 1e-6)
        assert_close(student.to_pixels(ours), images, 1e-6)
