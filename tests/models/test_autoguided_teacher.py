"""A teacher with a weaker one beside it: adopted together, drawn together, each counted as what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, DiTPipeline
from helpers.composition import changed, composed
from helpers.coupling_models import couplings
from helpers.small_dit import small_dit, small_dit_pipeline
from helpers.small_text_model import PROMPTS, save_stable_diffusion
from helpers.small_unet import small_unet

from pipeline.config.data import DataConfig
from pipeline.config.latent_space import LatentSpaceConfig
from pipeline.config.loading import parse_config
from pipeline.config.pretrained import Promised
from pipeline.config.solver import SolverConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.recount import disagreements
from pipeline.couplings.store import CouplingStore
from pipeline.metrics.evaluations import possible_evaluations
from pipeline.models.check import check_teacher
from pipeline.models.flops import flops_per_sample
from pipeline.models.pretrained import adopt_pretrained, save_teacher, training_scheduler
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.compute import Compute
from pipeline.system.errors import StraightflowError
from stages.student import starting_student

SHAPE = (1, 8, 8)
SCALE, NUM_STEPS = 1.7, 5
GUIDANCE = {"scale": SCALE, "by": "guide"}
AUTOGUIDED = SolverConfig.model_validate({"name": "ddim", "num_steps": NUM_STEPS, "guidance": GUIDANCE})


def strong(folder: Path, classes: int | None = 3) -> str:
    save_teacher(small_unet(num_class_embeds=classes), folder, training_scheduler())
    return str(folder)


def weak(folder: Path, classes: int | None = 3, **changes: object) -> str:
    """Smaller, and with a variance beside the mean."""
    settings = {"block_out_channels": (8, 8), "out_channels": 2, "num_class_embeds": classes}
    save_teacher(small_unet(**settings | changes), folder, training_scheduler())
    return str(folder)


@torch.no_grad()
def by_hand(teacher: Path, guide: Path, noise: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """Karras et al. 2024, eq. 3, with the stock networks and the stock scheduler."""
    networks = [DDPMPipeline.from_pretrained(folder).unet.eval() for folder in (teacher, guide)]
    scheduler = DDIMScheduler.from_pretrained(teacher / "scheduler", clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(NUM_STEPS)
    x = noise
    for time in scheduler.timesteps:
        of_teacher, of_guide = (each(x, time, class_labels=labels).sample[:, :1] for each in networks)
        x = scheduler.step(of_guide + SCALE * (of_teacher - of_guide), time, x).prev_sample
    return x


@pytest.mark.parametrize("classes", [None, 3])
def test_samples_are_those_of_a_loop_by_hand(classes: int | None, runtime, tmp_path: Path) -> None:
    name, guide = strong(tmp_path / "strong", classes), weak(tmp_path / "weak", classes)
    adopt_pretrained(name, SHAPE, tmp_path / "teacher", promised=Promised(guide=guide))
    sampler = load_sampler(tmp_path / "teacher", runtime)
    noise, labels = sampler.draw(0, range(4))
    solution = sampler.sample(noise, AUTOGUIDED, labels)
    torch.testing.assert_close(solution.x, by_hand(Path(name), Path(guide), noise, labels), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        solution.x, by_hand(tmp_path / "teacher", tmp_path / "teacher/guide", noise, labels), rtol=1e-4, atol=1e-4
    )
    assert solution.nfe == 2 * NUM_STEPS


def test_couplings_count_each_network_and_their_student_has_no_guide(runtime, tmp_path: Path) -> None:
    name, guide = strong(tmp_path / "strong"), weak(tmp_path / "weak")
    adopt_pretrained(name, SHAPE, tmp_path / "teacher", promised=Promised(guide=guide))
    source = load_sampler(tmp_path / "teacher", runtime)
    config = couplings(source="teacher", solver=AUTOGUIDED, dtype="float32")
    generate_couplings(source, config, tmp_path / "runs", tmp_path / "store", cost=tmp_path / "cost.json")
    store = CouplingStore(tmp_path / "store")
    assert store.manifest.nfe_mean == 2 * NUM_STEPS
    assert not list(disagreements(store))
    calls = NUM_STEPS * len(store)
    assert (source.calls.forward, source.calls.by_guide) == (2 * calls, calls)
    found = Compute(**json.loads((tmp_path / "cost.json").read_text()))
    settings = {"block_out_channels": (8, 8), "out_channels": 2}
    each = (small_unet(num_class_embeds=3), small_unet(num_class_embeds=3, **settings))
    assert found.flops == calls * sum(flops_per_sample(network, SHAPE, 3).forward for network in each)
    assert possible_evaluations(AUTOGUIDED.label, NUM_STEPS)[1] == 2 * NUM_STEPS
    assert AUTOGUIDED.label == "ddim-guided-1.7-by-guide"

    student = starting_student("student", tmp_path / "teacher", store, dropout=0.0)
    save_student(student, tmp_path / "student", tmp_path / "teacher")
    sampler = load_sampler(tmp_path / "student", runtime)
    assert sampler.guide is None
    with pytest.raises(StraightflowError, match="found: no guide"):
        sampler.sample(
            *sampler.draw(0, range(2))[:1], AUTOGUIDED.model_copy(update={"name": "euler"}), torch.tensor([0, 1])
        )


def test_another_guide_is_another_teacher(runtime, tmp_path: Path) -> None:
    name, guides = strong(tmp_path / "strong"), [None, weak(tmp_path / "a"), weak(tmp_path / "b", layers_per_block=2)]
    fingerprints = set()
    for guide in guides:
        adopt_pretrained(name, SHAPE, tmp_path / "teacher", promised=Promised(guide=guide))
        fingerprints.add(load_sampler(tmp_path / "teacher", runtime).fingerprint)
    assert len(fingerprints) == 3
    weights = tmp_path / "teacher/guide/unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + np.float32(9.0).tobytes())
    with pytest.raises(StraightflowError, match="as it was saved"):
        load_sampler(tmp_path / "teacher", runtime)


def other_process(folder: Path) -> str:
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", clip_sample=False)
    save_teacher(small_unet(num_class_embeds=3), folder, scheduler)
    return str(folder)


def other_prediction(folder: Path) -> str:
    save_teacher(small_unet(num_class_embeds=3), folder, DDPMScheduler(prediction_type="v_prediction"))
    return str(folder)


def a_flow(folder: Path) -> str:
    save_student(small_unet(num_class_embeds=3), folder)
    return str(folder)


@pytest.mark.parametrize(
    ("guide", "message"),
    [
        (lambda folder: weak(folder, sample_size=16), r"samples of shape \(1, 8, 8\), in .*\(1, 16, 16\)"),
        (lambda folder: weak(folder, classes=4), "classes: 3, in .*found: 4"),
        (lambda folder: weak(folder, classes=None), "classes: 3, in .*found: none"),
        (other_process, "at other levels of noise"),
        (other_prediction, "predicting epsilon, in .*predicting v_prediction"),
        (a_flow, "process: diffusion by 1000 .*found: a flow"),
        (lambda _: "no/such/folder", "expected: a teacher at 'no/such/folder'.*correct teacher.guide"),
    ],
)
def test_a_guide_that_does_not_go_with_the_teacher_is_refused(guide, message: str, tmp_path: Path) -> None:
    name, other = strong(tmp_path / "strong"), guide(tmp_path / "other")
    sections = composed()
    teacher = TeacherConfig.model_validate(sections["teacher"] | {"pretrained": name, "guide": other})
    data = DataConfig.model_validate(sections["data"])
    with pytest.raises(StraightflowError, match=f"(?s){message}") as refusal:
        check_teacher(teacher, data, {})
    if "no such" not in str(refusal.value):
        with pytest.raises(StraightflowError) as later:
            adopt_pretrained(name, SHAPE, tmp_path / "teacher", promised=teacher.promised)
        assert str(later.value) == str(refusal.value)
        assert not (tmp_path / "teacher").exists()


def test_check_records_the_guide(tmp_path: Path) -> None:
    name, guide = strong(tmp_path / "strong"), weak(tmp_path / "weak")
    sections = composed()
    data = DataConfig.model_validate(sections["data"])
    alone = check_teacher(TeacherConfig.model_validate(sections["teacher"] | {"pretrained": name}), data, {})
    found = check_teacher(
        TeacherConfig.model_validate(sections["teacher"] | {"pretrained": name, "guide": guide}), data, {}
    )
    record = found.pop("guide")
    assert found == alone
    assert isinstance(record, dict)
    assert record["pretrained"] == guide
    assert record["fingerprint"] not in (None, found["fingerprint"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher.guide": None}, r"couplings\.round1\.solver has guidance by: guide, but there is none"),
        ({"couplings.round2.solver.guidance": GUIDANCE}, r"couplings\.round2\.solver has guidance, .*students learn"),
        ({"evaluate.student_solvers": [{"name": "euler", "guidance": GUIDANCE}]}, r"student_solvers has guidance"),
        ({"couplings.round1.solver.guidance": GUIDANCE | {"by": "itself"}}, "by"),
        ({"couplings.round1.solver.guidance": {"scale": 2.0}}, "needs a class that stands for none"),
        ({"teacher.pretrained": None}, "guide is of a pretrained teacher"),
    ],
)
def test_autoguidance_of_what_cannot_be_guided_is_refused(changes: dict[str, object], message: str) -> None:
    guided = {"teacher.pretrained": "theirs", "teacher.guide": "weak", "couplings.round1.solver.guidance": GUIDANCE}
    parse_config(changed("smoke", guided), origin="test")
    with pytest.raises(StraightflowError, match=message):
        parse_config(changed("smoke", guided | changes), origin="test")


def test_what_is_named_by_other_guidance_keeps_its_name() -> None:
    guided = SolverConfig.model_validate({"name": "ddim", "num_steps": 2, "guidance": {"scale": 2.0}})
    assert guided.model_dump(mode="json")["guidance"] == {"scale": 2.0, "interval": [0.0, 1.0]}
    assert "guide" not in parse_config(changed("smoke", {}), origin="test").teacher.model_dump(mode="json")
    assert AUTOGUIDED.model_dump(mode="json")["guidance"]["by"] == "guide"


def test_a_transformer_and_a_model_of_text_are_guided_by_smaller_ones(runtime, tmp_path: Path) -> None:
    ddim = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    small_dit_pipeline(ddim).save_pretrained(tmp_path / "dit")
    DiTPipeline(small_dit(num_layers=1), small_dit_pipeline(ddim).vae, ddim).save_pretrained(tmp_path / "weak-dit")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS))
    scaled = DDIMScheduler(clip_sample=False, beta_schedule="scaled_linear")
    save_stable_diffusion(tmp_path / "text", scaled)
    save_stable_diffusion(tmp_path / "weak-text", scaled, block_out_channels=(4, 8))
    for kind, shape, downsampling, settings in (
        ("dit", (4, 4, 4), 1, {}),
        ("text", (4, 8, 8), 1, {"prompts": str(prompts)}),
    ):
        latents = LatentSpaceConfig(latent_channels=4, downsampling=downsampling)
        promised = Promised(guide=str(tmp_path / f"weak-{kind}"), **settings).of_latents(latents, 3)
        adopt_pretrained(str(tmp_path / kind), shape, tmp_path / "teacher", promised=promised)
        sampler = load_sampler(tmp_path / "teacher", runtime)
        noise, labels = sampler.draw(0, range(3))
        solution = sampler.sample(noise, AUTOGUIDED, labels)
        assert torch.isfinite(solution.x).all()
        assert solution.nfe == 2 * NUM_STEPS
        assert sampler.calls.by_guide == 3 * NUM_STEPS
