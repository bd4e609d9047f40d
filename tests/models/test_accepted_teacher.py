"""What may not be a teacher is refused by check, by adoption and when it is opened, each with the same words."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, ScoreSdeVeScheduler
from helpers.composition import composed
from helpers.small_unet import small_unet
from safetensors.torch import load_file, save_file

from pipeline.config.data import DataConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.diffusion.noise_schedule import noise_schedule_of, read_noise_schedule
from pipeline.models.check import check_teacher
from pipeline.models.opening import open_model
from pipeline.models.pretrained import adopt_pretrained
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES

SHAPE = (1, 8, 8)
UNET = "unet/config.json"
SCHEDULER = "scheduler/scheduler_config.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
ARCHIVE = "unet/diffusion_pytorch_model.bin"
INDEX = f"{WEIGHTS}.index.json"


def saved(folder: Path, scheduler: Any = None, **unet: Any) -> Path:
    DDPMPipeline(unet=small_unet(**unet), scheduler=scheduler or DDPMScheduler()).save_pretrained(folder)
    return folder


def check(folder: Path) -> dict[str, object]:
    sections = composed()
    teacher = TeacherConfig.model_validate(sections["teacher"] | {"pretrained": str(folder)})
    return check_teacher(teacher, DataConfig.model_validate(sections["data"]), {})


def edit(name: str, *without: str, **changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps({key: content[key] for key in content if key not in without}))

    return damage


def edit_weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)

    return damage


def shard(folder: Path, listed: Callable[[dict[str, str]], dict[str, str]] = dict) -> None:
    """The weights in two shards with an index, and what the index lists changed."""
    weights = load_file(folder / WEIGHTS)
    names, where = sorted(weights), {}
    for number, part in enumerate((names[::2], names[1::2])):
        file = f"shard-{number}.safetensors"
        save_file({name: weights[name] for name in part}, folder / "unet" / file)
        where |= dict.fromkeys(part, file)
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": listed(where)}))


def shard_beside_the_whole(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    shard(folder)
    (folder / WEIGHTS).write_bytes(whole)


def archive(
    change: Callable[[dict[str, torch.Tensor]], object] = dict, *, old_format: bool = False
) -> Callable[[Path], None]:
    """The weights in torch's own format, changed."""

    def convert(folder: Path) -> None:
        content = change(load_file(folder / WEIGHTS))
        (folder / WEIGHTS).unlink()
        torch.save(content, folder / ARCHIVE, _use_new_zipfile_serialization=not old_format)

    return convert


def each(change: Callable[[torch.Tensor], object]) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda weights: {name: change(values) for name, values in weights.items()}


def with_nan(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights["conv_in.weight"][0, 0, 0, 0] = math.nan
    return weights


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "learned time": (edit(UNET, time_embedding_type="learned", num_train_timesteps=1000), "found: 'learned'"),
    "fourier time at index 0": (edit(UNET, time_embedding_type="fourier"), "found: 'fourier'"),
    "no such time": (edit(UNET, time_embedding_type="sinus"), "found: 'sinus'"),
    "time as class": (edit(UNET, class_embed_type="timestep"), "class_embed_type 'timestep'"),
    "any vector as class": (edit(UNET, class_embed_type="identity"), "class_embed_type 'identity'"),
    "no classes": (edit(UNET, num_class_embeds=0), "num_class_embeds"),
    "unknown setting": (edit(UNET, drop_path=0.1), "drop_path: 0.1"),
    "no such block": (edit(UNET, down_block_types=["DownBlock2D", "Block"]), "called with samples of shape"),
    "groups that do not divide": (edit(UNET, norm_num_groups=5), "called with samples of shape"),
    "blocks that do not pair": (edit(UNET, up_block_types=["UpBlock2D"]), "up_block_types"),
    "heads wider than channels": (
        edit(UNET, down_block_types=["DownBlock2D", "AttnDownBlock2D"], attention_head_dim=64),
        "ZeroDivisionError",
    ),
    "channels as text": (edit(UNET, block_out_channels=["8", "16"]), "block_out_channels"),
    "output channels as a fraction": (edit(UNET, out_channels=1.0), "output channels"),
    "true output channels": (edit(UNET, out_channels=True), "output channels"),
    "a side as a fraction": (edit(UNET, sample_size=[8, 8.0]), "sample_size"),
    "truth as text": (edit(UNET, add_attention="no"), "add_attention: Input should be a valid boolean"),
    "truth as a number": (edit(UNET, flip_sin_to_cos=1), "flip_sin_to_cos: Input should be a valid boolean"),
    "a scale of nothing": (edit(UNET, mid_block_scale_factor=0), "mid_block_scale_factor"),
    "a scale that is no number": (edit(UNET, norm_eps=math.nan), "norm_eps: Input should be less than"),
    "a shift that divides by zero": (edit(UNET, freq_shift=4), "freq_shift"),  # half of the 8 channels
    "a middle of another kind": (edit(UNET, mid_block_type="UNetMidBlock2DCrossAttn"), "mid_block_type"),
    "a sampler of another kind": (edit(UNET, downsample_type="pool"), "downsample_type"),
    "drops everything": (edit(UNET, dropout=1.0), "dropout"),
    "layers without end": (edit(UNET, layers_per_block=10**9), "layers_per_block"),
    "true layers": (edit(UNET, layers_per_block=True), "layers_per_block"),
    "heads as text": (edit(UNET, attention_head_dim="8"), "attention_head_dim"),
    "a setting twice": (
        lambda folder: (folder / UNET).write_text((folder / UNET).read_text().replace("{", '{"norm_eps": 1,', 1)),
        "the key 'norm_eps' twice",
    ),
    "no channels": (edit(UNET, in_channels=None), "output channels"),
    "deep json": (lambda folder: (folder / UNET).write_text("[" * 100_000), "JSON in"),
    "exp betas": (edit(SCHEDULER, beta_schedule="exp"), "found: 'exp'"),
    "unknown betas": (edit(SCHEDULER, beta_schedule=["linear"]), "beta_schedule linear"),
    "betas left to a class's defaults": (edit(SCHEDULER, "beta_end"), "a number for beta_end"),
    "levels left to a class's defaults": (edit(SCHEDULER, "num_train_timesteps"), "num_train_timesteps from 3"),
    "betas as text": (edit(SCHEDULER, beta_start="0.0001"), "a number for beta_start"),
    "betas beyond floats": (edit(SCHEDULER, beta_end=10**400), "a number for beta_end"),
    "trained betas beyond floats": (edit(SCHEDULER, trained_betas=[10**400] * 1000), "a list of numbers"),
    "no noise at first": (edit(SCHEDULER, beta_start=0.0), "0 < beta_start"),
    "betas above one": (edit(SCHEDULER, beta_end=1.5), "beta_end < 1"),
    "noise too small to count": (edit(SCHEDULER, beta_start=1e-12, beta_end=1e-12), "noise rises"),
    "trained betas of another number": (edit(SCHEDULER, trained_betas=[0.1, 0.2]), "1000 trained_betas"),
    "trained betas that end too soon": (
        edit(SCHEDULER, trained_betas=[0.1, 1.0, 0.1], num_train_timesteps=3), "noise rises"
    ),
    "flow": (edit(SCHEDULER, _class_name="FlowMatchHeunDiscreteScheduler"), "FlowMatchHeunDiscreteScheduler"),
    "edm with betas": (edit(SCHEDULER, _class_name="EDMEulerScheduler"), "beta_end"),
    "consistency": (edit(SCHEDULER, _class_name="LCMScheduler"), "LCMScheduler"),
    "shifted": (edit(SCHEDULER, _class_name="CogVideoXDDIMScheduler", snr_shift_scale=3.0), "CogVideoXDDIMScheduler"),
    "no class": (edit(SCHEDULER, "_class_name"), "without a name"),
    "class that is no name": (edit(SCHEDULER, _class_name=["DDPMScheduler"]), "DDPMScheduler"),
    "flow by a setting": (
        edit(SCHEDULER, _class_name="UniPCMultistepScheduler", use_flow_sigmas=True), "use_flow_sigmas: False"
    ),
    "edm by a setting": (
        edit(SCHEDULER, _class_name="EulerDiscreteScheduler", timestep_type="continuous"), "timestep_type: 'discrete'"
    ),
    "image by an old setting": (edit(SCHEDULER, predict_epsilon=False), "predict_epsilon: True"),
    "unknown setting of the scheduler": (edit(SCHEDULER, snr_shift=3.0), "snr_shift: 3.0"),
    "unknown prediction": (edit(SCHEDULER, prediction_type="flow_prediction"), "'flow_prediction'"),
    "epsilon without image": (edit(SCHEDULER, rescale_betas_zero_snr=True), "zero terminal"),
    "epsilon with hardly any": (
        edit(SCHEDULER, trained_betas=[0.5, 0.5, 1 - 1e-7, 1 - 1e-7], num_train_timesteps=4), "zero terminal"
    ),
    "exploding without scales": (edit(SCHEDULER, _class_name="ScoreSdeVeScheduler"), "ScoreSdeVe|beta"),
    "renamed": (
        edit_weights(lambda weights: {f"_orig_mod.{name}": values for name, values in weights.items()}),
        r"no tensor conv_in\.bias, (\d+) such in all; a file that has a tensor _orig_mod\.conv_in\.bias, \1",
    ),
    "other shape": (
        edit_weights(lambda weights: weights | {"conv_in.weight": torch.zeros(12, 1, 3, 3)}), "conv_in.weight"
    ),
    "not finite": (edit_weights(with_nan), "NaN or infinity in conv_in.weight"),
    "quantised": (
        edit_weights(lambda weights: weights | {"conv_in.weight": torch.zeros(8, 1, 3, 3, dtype=torch.int8)}),
        "I8 in conv_in.weight",
    ),
    "index of a tensor that is in no shard": (
        lambda folder: shard(folder, lambda where: where | {"conv_in.gone": "shard-0.safetensors"}),
        r"conv_in\.gone of shard-0\.safetensors only in the index, 1 such",
    ),
    "index that leaves tensors out": (
        lambda folder: shard(folder, lambda where: {key: where[key] for key in where if key != "conv_in.bias"}),
        r"conv_in\.bias of shard-0\.safetensors only in the file, 1 such",
    ),
    "index of a shard that is not there": (
        lambda folder: shard(folder, lambda where: where | {"conv_in.bias": "shard-7.safetensors"}), "shard-7"
    ),
    "index out of the folder": (
        lambda folder: shard(folder, lambda where: where | {"conv_in.bias": "../../other.safetensors"}), "weight_map"
    ),
    "index of nothing": (lambda folder: shard(folder, lambda _: []), "weight_map"),
    "weights twice": (shard_beside_the_whole, "older or newer"),
    "archive of whole numbers": (archive(each(torch.Tensor.int)), r"torch\.int32 in"),
    "old archive of whole numbers": (archive(each(torch.Tensor.int), old_format=True), r"torch\.int32 in"),
    "archive of complex numbers": (archive(each(lambda values: values + 0j)), r"torch\.complex64 in"),
    "archive of few numbers": (archive(each(torch.Tensor.to_sparse)), "sparse_coo"),
    "archive of no tensors": (archive(each(torch.Tensor.tolist)), "found: list in"),
    "archive in an archive": (archive(lambda weights: {"state_dict": weights}), "found: dict in state_dict"),
    "archive without names": (archive(lambda weights: list(weights.values())), "list instead of tensors by name"),
    "archive of code": (archive(lambda _: torch.nn.Linear), "complete file of weights"),
    "weights that are a folder": (
        lambda folder: ((folder / WEIGHTS).unlink(), (folder / WEIGHTS).mkdir()), "found: neither"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not_be_a_teacher_is_refused_wherever_it_is_met(name: str, runtime, tmp_path: Path) -> None:
    damage, message = REFUSED[name]
    folder = saved(tmp_path / "theirs")
    assert check(folder)["pretrained"] == str(folder)
    damage(folder)
    said = []
    for meet in (
        lambda: check(folder),
        lambda: adopt_pretrained(str(folder), SHAPE, tmp_path / "teacher"),
        lambda: load_sampler(folder, runtime),
    ):
        with pytest.raises(StraightflowError, match=message) as refusal:
            meet()
        said.append(str(refusal.value))
    assert said[0] == said[1] == said[2]
    assert not (tmp_path / "teacher").exists()


def test_shards_of_one_saving_are_a_teacher(tmp_path: Path) -> None:
    folder = saved(tmp_path / "theirs")
    whole = load_file(folder / WEIGHTS)
    shard(folder)
    check(folder)
    adopt_pretrained(str(folder), SHAPE, tmp_path / "teacher")
    adopted = load_file(tmp_path / "teacher" / WEIGHTS)
    assert all(torch.equal(adopted[name], whole[name]) for name in whole)


@pytest.mark.parametrize("old_format", [False, True])
def test_an_archive_of_tensors_is_a_teacher(tmp_path: Path, old_format: bool, caplog, monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    folder = saved(tmp_path / "theirs")
    weights = load_file(folder / WEIGHTS)
    archive(each(torch.Tensor.half), old_format=old_format)(folder)
    check(folder)
    adopt_pretrained(str(folder), SHAPE, tmp_path / "teacher")
    adopted = load_file(tmp_path / "teacher" / WEIGHTS)
    assert all(torch.equal(adopted[name], weights[name].half().float()) for name in weights)
    assert not caplog.records


@pytest.mark.parametrize("scheduler_class", [EulerDiscreteScheduler, HeunDiscreteScheduler])
def test_the_betas_are_those_of_the_file_whatever_samples_them(scheduler_class) -> None:
    betas = np.linspace(0.001, 0.01, 500)  # as written down, with no default of any class
    scheduler = scheduler_class(num_train_timesteps=500, beta_start=0.001, beta_end=0.01, use_karras_sigmas=True)
    alpha = noise_schedule_of(scheduler).alpha
    assert np.allclose(alpha, np.sqrt(np.cumprod(1 - betas)), rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"sigma_min": 0}, {"sigma_min": 60}, {"sigma_max": "50"}, {"sigma_max": None},
        # Twice 1e308 is infinite, float32 has no 1e-300, and scales within a factor of two leave most of the image.
        {"sigma_max": 1e308}, {"sigma_max": 10**400}, {"sigma_min": 1e-300}, {"sigma_min": 49.999},
    ],
)  # fmt: skip
def test_scales_of_noise_that_do_not_rise_are_refused(changes: dict[str, object]) -> None:
    config = json.loads(ScoreSdeVeScheduler(sigma_max=50.0).to_json_string())
    assert read_noise_schedule(config).initial_scale == pytest.approx(100.0)
    with pytest.raises(StraightflowError, match=next(iter(changes))):
        read_noise_schedule(config | changes)


def test_a_unet_that_could_not_be_called_is_told_before_it_is_trained() -> None:
    sections = composed()
    unet = sections["teacher"]["unet"] | {"block_out_channels": [32] * 5, "attention": [False] * 5}
    teacher = TeacherConfig.model_validate(sections["teacher"] | {"unet": unet})
    with pytest.raises(StraightflowError, match=r"teacher\.unet"):
        check_teacher(teacher, DataConfig.model_validate(sections["data"]), {})


@pytest.mark.parametrize("name", ["x" * 5000, "./" + "y" * 300])
def test_a_name_that_no_file_system_takes_is_refused(name: str) -> None:
    with pytest.raises(StraightflowError, match=r"teacher\.pretrained"):
        check(Path(name))


def saved_flow(folder: Path) -> Path:
    save_student(small_unet(), folder)
    (folder / HASHES).unlink()  # as a folder from elsewhere
    return folder


NOT_A_FLOW: dict[str, tuple[Callable[[Path], None], str]] = {
    "learned variance": (edit(UNET, out_channels=2), "as many output channels as input channels"),
    "other outputs": (edit(UNET, out_channels=3), "output channels"),
    "learned time": (edit(UNET, time_embedding_type="learned", num_train_timesteps=1000), "found: 'learned'"),
    "fourier time": (edit(UNET, time_embedding_type="fourier"), "found: 'fourier'"),
    "second time": (edit(UNET, class_embed_type="timestep"), "class_embed_type 'timestep'"),
    "volumes": (edit(UNET, _class_name="UNet3DConditionModel"), "found: UNet3DConditionModel"),
    "side that no UNet halves": (edit(UNET, sample_size=7), "divisible by 2"),
    "a side that no UNet halves": (edit(UNET, sample_size=[8, 7]), "divisible by 2"),
    "three sides": (edit(UNET, sample_size=[8, 8, 8]), "height and width"),
    "unknown setting": (edit(UNET, drop_path=0.1), "drop_path: 0.1"),
    "heads wider than channels": (
        edit(UNET, down_block_types=["DownBlock2D", "AttnDownBlock2D"], attention_head_dim=64), "ZeroDivisionError"
    ),
    "times of another scale": (edit(SCHEDULER, num_train_timesteps=1), "num_train_timesteps: 1000"),
    "scale that is no number": (edit(SCHEDULER, num_train_timesteps="1000"), "num_train_timesteps: 1000"),
    "times the other way": (edit(SCHEDULER, invert_sigmas=True), "invert_sigmas: False"),
    "unknown setting of the scheduler": (edit(SCHEDULER, sigma_data=0.5), "sigma_data: 0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_A_FLOW)
def test_what_is_no_flow_of_ours_is_refused_by_whoever_opens_it(name: str, runtime, tmp_path: Path) -> None:
    damage, message = NOT_A_FLOW[name]
    folder = saved_flow(tmp_path / "flow")
    assert load_sampler(folder, runtime).noise_schedule is None
    damage(folder)
    for opened in (lambda: load_sampler(folder, runtime), lambda: open_model(folder)):
        with pytest.raises(StraightflowError, match=message):
            opened()


def test_settings_that_place_the_steps_of_sampling_leave_a_flow_what_it_is(runtime, tmp_path: Path) -> None:
    folder = saved_flow(tmp_path / "flow")
    before = load_sampler(folder, runtime)
    edit(SCHEDULER, shift=3.0, use_dynamic_shifting=True, use_karras_sigmas=True)(folder)
    after = load_sampler(folder, runtime)
    x, t = torch.ones(1, *SHAPE), torch.full((1,), 0.25)
    assert torch.equal(after.velocity_field()(x, t), before.velocity_field()(x, t))
    assert torch.equal(before.velocity_field()(x, t), -small_unet()(x, 750 * torch.ones(1)).sample)
