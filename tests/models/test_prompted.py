"""Prompts as conditions by index: the table beside a network, what it is called with, and what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from helpers.composition import composed
from helpers.small_text_model import small_condition_unet, write_tokenizer
from helpers.small_unet import small_unet
from safetensors.torch import load_file, save_file

from pipeline.config.data import DataConfig
from pipeline.config.pretrained import Promised
from pipeline.config.teacher import TeacherConfig
from pipeline.models.check import check_teacher
from pipeline.models.flops import flops_per_sample
from pipeline.models.kinds.unet_condition import UNetConditionKind
from pipeline.models.networks import load_network, null_class_of, num_classes, starting_network
from pipeline.models.opening import read_model
from pipeline.models.pretrained import adopt_pretrained, save_teacher
from pipeline.models.prompt_table import PromptTable, encoder_fingerprint, read_prompts
from pipeline.models.prompted import PromptedNetwork
from pipeline.models.sampler import load_sampler
from pipeline.models.student import is_saved_student, save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES
from pipeline.training.dropout import set_dropout

ENCODERS = UNetConditionKind.encoders
TEXT = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(5))
"""Four rows, of three prompts and the empty one, of six words of width 8."""
X, T = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(6)), torch.tensor([0.0, 500.0, 999.0])
TABLE = "prompts/table.safetensors"


def prompted(encoder: str) -> PromptedNetwork:
    unet = small_condition_unet()
    unet.register_to_config(_num_conditions=4)
    return PromptedNetwork(unet, PromptTable(("a", "b", "c"), encoder, {"encoder_hidden_states": TEXT}))


def saved(folder: Path) -> Path:
    """A teacher of text as it is saved here, its tokenizer beside it, without an encoder's weights."""
    source = folder.with_name(f"{folder.name}-source")
    write_tokenizer(source / "tokenizer")
    index = {"_class_name": "StableDiffusionPipeline", "tokenizer": ["transformers", "CLIPTokenizer"]}
    (source / "model_index.json").write_text(json.dumps(index | {"safety_checker": [None, None]}))
    save_teacher(prompted(encoder_fingerprint(source, ENCODERS)), folder, DDIMScheduler(), source)
    return folder


@torch.no_grad()
def test_the_stock_network_gets_the_rows_of_its_labels() -> None:
    labels = torch.tensor([2, 0, 3])
    stock = small_condition_unet()(X, T, encoder_hidden_states=TEXT[[2, 0, 3]]).sample
    assert torch.equal(prompted("").forward(X, T, labels).sample, stock)


def test_the_table_is_no_weight() -> None:
    network, stock = prompted(""), small_condition_unet()
    assert list(network.state_dict()) == [f"network.{name}" for name in stock.state_dict()]
    assert sum(values.numel() for values in network.parameters()) == stock.num_parameters()
    assert torch.equal(copy.deepcopy(network).encoder_hidden_states, TEXT)


def test_a_network_that_was_moved_holds_one_table_and_no_count_of_its_flops_copies_it(monkeypatch) -> None:
    network = prompted("encoder").double().float()  # every tensor in memory of its own
    table = network.table
    assert (table.prompts, table.encoder) == (("a", "b", "c"), "encoder")
    assert {name: values.data_ptr() for name, values in table.tensors.items()} == {
        name: values.data_ptr() for name, values in network.named_buffers() if name in table.tensors
    }

    def refused(values: torch.Tensor, _: object) -> None:
        raise AssertionError(f"a copy of {tuple(values.shape)}")

    monkeypatch.setattr(torch.Tensor, "__deepcopy__", refused)
    assert flops_per_sample(network, (4, 8, 8), 4).forward > 0


@torch.no_grad()
def test_a_model_of_text_is_opened_as_it_was_saved_and_a_student_keeps_its_prompts(runtime, tmp_path: Path) -> None:
    teacher = saved(tmp_path / "teacher")
    network = load_network(teacher)
    assert (num_classes(network), null_class_of(network)) == (4, 3)
    accepted = read_model(teacher)
    assert (accepted.shape, accepted.num_classes, accepted.null_class) == ((4, 8, 8), 4, 3)
    labels = torch.tensor([1, 2, 0])
    assert torch.equal(network(X, T, labels).sample, prompted("")(X, T, labels).sample)

    save_student(starting_network(network), tmp_path / "student", teacher)
    assert is_saved_student(tmp_path / "student")
    assert (tmp_path / "student/prompts/prompts.txt").read_text() == "a\nb\nc\n"
    assert type(UNet2DConditionModel.from_pretrained(tmp_path / "student/unet")) is UNet2DConditionModel
    index = json.loads((tmp_path / "student/model_index.json").read_text())
    assert index["tokenizer"] == ["transformers", "CLIPTokenizer"]
    assert index["safety_checker"] == [None, None]
    sampler = load_sampler(tmp_path / "student", runtime)
    assert (sampler.num_classes, sampler.num_conditions) == (4, 3)
    assert int(sampler.labels(1, range(200)).max()) == 2  # the empty prompt is never drawn
    (tmp_path / "student/note.txt").write_text("mine")
    assert not is_saved_student(tmp_path / "student")


def test_dropout_is_that_of_its_class() -> None:
    network, stock = prompted(""), small_condition_unet(dropout=0.25)
    set_dropout(network, 0.25)
    for ours, theirs in zip(network.network.modules(), stock.modules(), strict=True):
        assert getattr(ours, "p", None) == getattr(theirs, "p", None)
    assert network.config["dropout"] == 0.25


def change_table(folder: Path, **tensors: torch.Tensor) -> None:
    """The tensors of a table replaced, with the header that it has."""
    encoder = encoder_fingerprint(folder, ENCODERS)
    fingerprint = PromptTable(read_prompts(folder / "prompts/prompts.txt"), encoder, {}).fingerprint
    save_file(
        load_file(folder / TABLE) | tensors, folder / TABLE, metadata={"prompts": fingerprint, "encoder": encoder}
    )


REFUSED = {
    "another encoder": (
        lambda folder: (folder / "tokenizer/merges.txt").write_text("#version: 0.2\na b\n"), "by another encoder"
    ),
    "another width": (
        lambda folder: change_table(folder, encoder_hidden_states=torch.zeros(4, 6, 16)), r"width 8 (.|\n)*\(4, 6, 16\)"
    ),
    "other rows": (lambda folder: change_table(folder, encoder_hidden_states=TEXT[:3].clone()), "4 rows"),
    "numbers that are none": (
        lambda folder: change_table(folder, encoder_hidden_states=TEXT * float("nan")), "finite numbers"
    ),
    "a further tensor": (lambda folder: change_table(folder, pooled=torch.zeros(4, 8)), "tensors encoder_hidden"),
    "other prompts": (lambda folder: (folder / "prompts/prompts.txt").write_text("a\nb\nd\n"), "of other prompts"),
    "no table": (lambda folder: (folder / TABLE).unlink(), "a table of encoded prompts"),
    "no prompts": (lambda folder: (folder / "prompts/prompts.txt").unlink(), "a text file of prompts"),
    "no table at all": (lambda folder: edit(folder, _num_conditions=None), "set teacher.prompts"),
    "prompts of another number": (lambda folder: edit(folder, _num_conditions=9), "8 prompts"),
    "another text by its side": (lambda folder: edit(folder, addition_embed_type="text"), "addition_embed_type"),
    "a guided one's scale": (lambda folder: edit(folder, time_cond_proj_dim=8), "time_cond_proj_dim"),
    "a mask beside the image": (lambda folder: edit(folder, in_channels=9), "output channels"),
}  # fmt: skip


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "unet/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_is_not_the_models_own_is_refused(name: str, runtime, tmp_path: Path) -> None:
    damage, message = REFUSED[name]
    folder = saved(tmp_path / "teacher")
    load_sampler(folder, runtime)
    (folder / HASHES).unlink()  # as in a folder from elsewhere
    damage(folder)
    with pytest.raises(StraightflowError, match=message):
        load_sampler(folder, runtime)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no lines"), (b"a\n\nb\n", "line 2 empty"), (b"  \n", "line 1 empty"), (b"\xff\xfe", "UTF-8")],
)
def test_a_file_without_prompts_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes(content)
    with pytest.raises(StraightflowError, match=message):
        read_prompts(tmp_path / "prompts.txt")


def test_prompts_are_lines_without_the_space_around_them(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes("a cat \r\n\té\n".encode())
    assert read_prompts(tmp_path / "prompts.txt") == ("a cat", "é")


def test_prompts_for_a_teacher_that_reads_none_are_refused_by_check_and_by_adoption(tmp_path: Path) -> None:
    from diffusers import DDPMPipeline

    DDPMPipeline(unet=small_unet(), scheduler=DDIMScheduler()).save_pretrained(tmp_path / "theirs")
    (tmp_path / "prompts.txt").write_text("a cat\n")
    sections = composed()
    settings = {"pretrained": str(tmp_path / "theirs"), "prompts": str(tmp_path / "prompts.txt")}
    teacher = TeacherConfig.model_validate(sections["teacher"] | settings)
    said = []
    for meet in (
        lambda: check_teacher(teacher, DataConfig.model_validate(sections["data"]), {}),
        lambda: adopt_pretrained(settings["pretrained"], (1, 8, 8), tmp_path / "teacher", promised=teacher.promised),
    ):
        with pytest.raises(StraightflowError, match=r"reads text(.|\n)*a UNet2DModel") as refusal:
            meet()
        said.append(str(refusal.value))
    assert said[0] == said[1]
    with pytest.raises(ValueError, match="prompts are of a pretrained teacher"):
        TeacherConfig.model_validate(sections["teacher"] | {"prompts": "prompts.txt"})


def test_a_teacher_that_reads_text_needs_prompts_and_what_reads_them(tmp_path: Path, monkeypatch) -> None:
    folder = saved(tmp_path / "theirs")
    (folder / HASHES).unlink()
    edit(folder, _num_conditions=None)
    with pytest.raises(StraightflowError, match=r"set teacher\.prompts"):
        adopt_pretrained(str(folder), (4, 8, 8), tmp_path / "teacher")
    (tmp_path / "prompts.txt").write_text("a cat\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StraightflowError, match=r"\.\[text\]"):
        adopt_pretrained(
            str(folder),
            (4, 8, 8),
            tmp_path / "teacher",
            promised=Promised(prompts=str(tmp_path / "prompts.txt")),
        )
