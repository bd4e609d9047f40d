from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from helpers.small_training import training_config
from helpers.small_unet import small_unet

from pipeline.config.solver import SolverConfig
from pipeline.config.teacher import MLPConfig
from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.methods.fixed_steps import FixedSteps
from pipeline.models.diffusers_layout import read_scheduler_config
from pipeline.models.networks import build_network, starting_network
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import load_sampler
from pipeline.models.student import flow_scheduler, is_saved_student, predict_velocity, save_student
from pipeline.system.errors import StraightflowError
from pipeline.training.loop import train


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


@pytest.mark.parametrize("num_steps", [1, 2, 4, 8])
def test_stock_diffusers_takes_as_many_euler_steps_as_it_is_asked_for(num_steps: int, runtime, tmp_path: Path) -> None:
    network = small_unet()
    save_student(network, tmp_path / "student")
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "student")
    theirs = pipeline(
        batch_size=3, num_inference_steps=num_steps, generator=torch.Generator().manual_seed(5), output_type="pt"
    ).images
    x_0 = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(5))

    # What diffusers documents: linspace(1, 1/1000, N + 1) without its end, then 0.
    sigmas = [1 - (1 - 1 / 1000) * k / num_steps for k in range(num_steps)] + [0.0]
    assert pipeline.scheduler.sigmas.tolist() == pytest.approx(sigmas, abs=1e-7)
    assert pipeline.scheduler.timesteps.tolist() == pytest.approx([1000 * sigma for sigma in sigmas[:-1]], abs=1e-4)
    x = x_0.clone()
    with torch.no_grad():
        for sigma, following in pairwise(sigmas):
            x += (following - sigma) * network(x, torch.full((3,), 1000 * sigma)).sample
    assert torch.allclose((x / 2 + 0.5).clamp(0, 1), theirs, atol=1e-5)

    ours = load_sampler(tmp_path / "student", runtime).sample(x_0, SolverConfig(name="euler", num_steps=num_steps))
    apart = (ours.x - x).abs().max() / (ours.x - x_0).abs().max()
    if num_steps == 1:
        assert apart < 1e-6
    else:  # steps move by at most 0.001, in a field that turns little; 1 / N would be left out without the last
        assert 1e-6 < apart < 0.02


def test_one_function_tells_students_of_either_scheduler_from_teachers(tiny_unet, runtime, tmp_path: Path) -> None:
    older = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000)
    images = []
    for name, scheduler in (("older", older), ("today", flow_scheduler())):
        folder = tmp_path / name
        DDPMPipeline(unet=tiny_unet, scheduler=scheduler).save_pretrained(folder)
        assert is_saved_student(folder)
        sampler = load_sampler(folder, runtime)
        assert sampler.noise_schedule is None
        x_0 = sample_noise(stream_key("selection", 0), range(2), sampler.shape)
        images.append(sampler.sample(x_0, SolverConfig(name="euler", num_steps=4)).x)
        with pytest.raises(StraightflowError, match=type(scheduler).__name__):
            read_noise_schedule(read_scheduler_config(folder))
    assert torch.equal(*images)


def test_a_student_replaces_one_with_the_older_scheduler(tiny_unet, tmp_path: Path) -> None:
    older = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000)
    DDPMPipeline(unet=tiny_unet, scheduler=older).save_pretrained(tmp_path / "student")
    save_student(tiny_unet, tmp_path / "student")
    assert type(DDPMPipeline.from_pretrained(tmp_path / "student").scheduler) is type(flow_scheduler())


def test_time_runs_from_noise_to_image(tiny_unet) -> None:
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        at_noise = predict_velocity(tiny_unet, x, torch.zeros(2))
        assert torch.equal(at_noise, -tiny_unet(x, torch.full((2,), 1000.0)).sample)


def test_of_a_learned_variance_head_a_student_keeps_the_mean() -> None:
    teacher = small_unet(3, out_channels=6)
    student = starting_network(teacher)
    x, t = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3.0, 700.0])
    with torch.no_grad():
        assert torch.allclose(student(x, t).sample, teacher(x, t).sample[:, :3], atol=1e-6)
    assert student.config["out_channels"] == 3


def test_a_student_of_a_variance_exploding_teacher_keeps_all_weights_but_its_time_input() -> None:
    teacher = small_unet(3, time_embedding_type="fourier", center_input_sample=True)
    student = starting_network(teacher)
    theirs, ours = teacher.state_dict(), student.state_dict()
    changed = {name for name in ours if not torch.equal(ours[name], theirs.get(name, torch.empty(0)))}
    assert changed == {"time_embedding.linear_1.weight", "time_embedding.linear_1.bias"}
    with torch.no_grad():
        at_image = predict_velocity(student, torch.zeros(1, 3, 8, 8), torch.ones(1))
    assert torch.isfinite(at_image).all()  # where the noise's scale, which the teacher divides by, is 0


def test_other_networks_start_as_they_are(tiny_unet) -> None:
    assert starting_network(tiny_unet) is tiny_unet


def test_training_conditions_on_the_pairs_classes(runtime, tmp_path: Path) -> None:
    """Noise leads to -0.5 or 0.5 by class alone: only a network that sees the class can learn it."""

    class TwoClasses:
        def __len__(self) -> int:
            return 256

        def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
            labels = torch.from_numpy(indices % 2)
            x_0 = sample_noise(stream_key("couplings", 0), indices.tolist(), (3, 8, 8))
            return {"x_0": x_0, "x_1": (labels - 0.5).reshape(-1, 1, 1, 1).expand_as(x_0), "labels": labels}

        def locate(self, index: int) -> str:
            return str(index)

    unet = small_unet(3, num_class_embeds=2)
    config = training_config(
        num_steps=100,
        batch_size=32,
        learning_rate=3e-3,
        warmup_steps=5,
        ema_halflife_images=100,
        log_every_steps=100,
        checkpoint_every_steps=1000,
    )
    objective = FixedSteps(VelocityLoss(l2), num_steps=1)
    train(unet, TwoClasses(), objective, config, runtime, tmp_path / "run", "conditional")
    save_student(unet, tmp_path / "student")
    sampler = load_sampler(tmp_path / "student", runtime)
    assert sampler.num_classes == 2
    x_0 = sample_noise(stream_key("evaluation", 0), range(32), (3, 8, 8))
    for label in (0, 1):
        images = sampler.sample(x_0, SolverConfig(name="euler", num_steps=1), torch.full((32,), label)).x
        assert images.mean().item() == pytest.approx(label - 0.5, abs=0.15)


def test_a_saved_student_is_told_from_everything_else(tiny_unet, tmp_path: Path) -> None:
    points = build_network(MLPConfig(width=8, num_layers=1, fourier_octaves=0, longest_wavelength=1.0), (2,), 0)
    for name, network in (("images", tiny_unet), ("points", points)):
        save_student(network, tmp_path / name)
        assert is_saved_student(tmp_path / name)
    save_teacher(tiny_unet, tmp_path / "teacher", training_scheduler())
    assert not is_saved_student(tmp_path / "teacher")
    (tmp_path / "images/unet/notes.txt").write_text("")
    assert not is_saved_student(tmp_path / "images")
    (tmp_path / "points/unet/diffusion_pytorch_model.safetensors").unlink()
    assert not is_saved_student(tmp_path / "points")
    assert not is_saved_student(tmp_path)
    assert not is_saved_student(tmp_path / "missing")
