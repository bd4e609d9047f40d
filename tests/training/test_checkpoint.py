from __future__ import annotations

import errno
import json
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from helpers.learnable_features import PixelFeatures
from helpers.small_training import OBJECTIVE

import pipeline.system.file_hashes as hashes
from pipeline.config.flow import LossConfig
from pipeline.config.methods import FrechetConfig
from pipeline.methods.build import build_method
from pipeline.models.flops import FlopsPerSample
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file
from pipeline.training.checkpoint import CheckpointFolder, TrainingState, load_average, saved_averages
from pipeline.training.ema import Ema
from pipeline.training.meter import LossRecord, Meter
from pipeline.training.spending import Spending


class Killed(BaseException):
    pass


class FileEvents:
    """Counts what this process does to files below a folder, and lets it do nothing more from a chosen event on.

    Unlike an exception raised once, the ban also stops ``finally`` blocks from tidying up, as SIGKILL would.
    """

    WATCHED = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")

    def __init__(self) -> None:
        self.folder: str | None = None
        self.count = 0
        self.last_allowed = 0
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.folder is None or event not in self.WATCHED or not str(arguments[0]).startswith(self.folder):
            return
        self.count += 1
        if self.count > self.last_allowed:
            raise Killed

    @contextmanager
    def below(self, folder: Path, *, last_allowed: int) -> Iterator[None]:
        self.count, self.last_allowed, self.folder = 0, last_allowed, str(folder)
        try:
            yield
        finally:
            self.folder = None


FILE_EVENTS = FileEvents()
UNLIMITED = sys.maxsize


class Run:
    """A run whose weights, averages and optimizer all tell its step."""

    def __init__(self, folder: Path, *, kept: int = 2, marked: int | None = None, name: str = "run") -> None:
        accelerator = Accelerator(cpu=True)
        self.parameter = torch.nn.Parameter(torch.zeros(3))
        module = torch.nn.Module()
        module.weight = self.parameter
        network, self.optimizer = accelerator.prepare(module, torch.optim.AdamW([self.parameter], lr=0.0))
        self.ema = Ema([self.parameter], halflife_images=7, rampup_ratio=1.0)
        spending = Spending(FlopsPerSample(forward=3, backward=5), accelerator)
        self.state = TrainingState(network, [self.optimizer], [self.ema], Meter(accelerator, 1), spending)
        self.folder = CheckpointFolder(accelerator, folder, run=name, kept=kept, marked_every_steps=marked)

    def save_at(self, step: int) -> None:
        self.state.step = step
        self.state.history.append(LossRecord(step, float(step), 0.1, 1.0, (None,) * 10, None))
        with torch.no_grad():
            self.parameter.fill_(step)
        self.ema.averages[0].fill_(-step)
        self.parameter.grad = torch.full((3,), float(step))
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.folder.save(self.state)

    def require_whole(self) -> None:
        step = self.state.step
        assert self.parameter.tolist() == [step] * 3
        assert self.ema.averages[0].tolist() == [-step] * 3
        assert [row.loss for row in self.state.history] == [float(k) for k in range(1, step + 1)]
        assert int(next(iter(self.optimizer.state.values()))["step"]) == step


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_kill_at_any_file_boundary_of_a_save_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    def save_three(folder: Path, last_allowed: int) -> int:
        run = Run(folder)
        run.save_at(1)
        run.save_at(2)
        with FILE_EVENTS.below(folder, last_allowed=last_allowed):
            run.save_at(3)
        return FILE_EVENTS.count

    num_events = save_three(tmp_path / "whole", UNLIMITED)
    assert num_events > 10
    reached = []
    for last_allowed in range(num_events):
        folder = tmp_path / f"killed-{last_allowed}"
        with pytest.raises(Killed):
            save_three(folder, last_allowed)
        again = Run(folder)
        assert again.folder.load_newest(again.state)
        again.require_whole()
        reached.append(again.state.step)
        again.save_at(again.state.step + 1)
        assert not [name for name in names(folder) if name.startswith(".")]
        shutil.rmtree(folder)
    assert reached == sorted(reached)
    assert set(reached) == {2, 3}


@pytest.mark.parametrize("damage", ["truncated", "missing", "altered", "added"])
def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_it_used(
    tmp_path: Path, damage: str, capsys
) -> None:
    run = Run(tmp_path / "intact")
    run.save_at(1)
    run.save_at(2)
    files = [item for item in (tmp_path / "intact/step-000000002").rglob("*") if item.is_file()]
    assert len(files) >= 5
    for file in files:
        folder = tmp_path / "damaged"
        shutil.copytree(tmp_path / "intact", folder)
        target = folder / file.relative_to(tmp_path / "intact")
        content = target.read_bytes()
        if damage == "truncated":
            target.write_bytes(content[: len(content) // 2])
        elif damage == "missing":
            target.unlink()
        elif damage == "altered":
            target.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        else:
            target.with_name("stranger").write_bytes(b"")
        again = Run(folder)
        assert again.folder.load_newest(again.state), target
        assert again.state.step == 1
        again.require_whole()
        assert "step-000000002 is damaged" in capsys.readouterr().out
        shutil.rmtree(folder)


def test_newest_and_marked_checkpoints_are_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, kept=2, marked=3)
    for step in range(1, 9):
        run.save_at(step)
    assert names(tmp_path) == [f"step-{step:09d}" for step in (3, 6, 7, 8)]


@contextmanager
def no_file_larger_than(num_bytes: int) -> Iterator[None]:
    """Writing beyond fails as on a full disk, whoever writes, but for the number of the error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_costs_no_earlier_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_at(1)
    sizes = sorted({item.stat().st_size for item in (tmp_path / "step-000000001").iterdir()})
    assert len(sizes) > 3
    for size in sizes:  # every kind of file is the first that does not fit, once
        with no_file_larger_than(size - 1), pytest.raises(StraightflowError, match="free disk space"):
            run.save_at(2)
        run.state.history.pop()
    again = Run(tmp_path)
    assert again.folder.load_newest(again.state)
    assert again.state.step == 1
    again.require_whole()


def test_damaged_checkpoints_that_were_passed_over_do_not_take_the_place_of_good_ones(tmp_path: Path) -> None:
    run = Run(tmp_path, kept=1)
    for step in range(1, 10):
        run.save_at(step)
    assert names(tmp_path) == ["step-000000009"]
    (tmp_path / "step-000000009/progress.json").write_text("{}")
    again = Run(tmp_path, kept=1)
    assert not again.folder.load_newest(again.state)
    again.save_at(1)
    assert names(tmp_path) == ["step-000000001"]


def test_a_checkpoint_that_cannot_be_read_is_damaged(tmp_path: Path, monkeypatch, capsys) -> None:
    run = Run(tmp_path)
    run.save_at(1)
    run.save_at(2)

    def unreadable(path: Path) -> str:
        if path.parent.name == "step-000000002":
            raise OSError(errno.EIO, "Input/output error")
        return fingerprint_file(path)

    monkeypatch.setattr(hashes, "fingerprint_file", unreadable)
    again = Run(tmp_path)
    assert again.folder.load_newest(again.state)
    again.require_whole()
    assert again.state.step == 1
    assert "Input/output error" in capsys.readouterr().out


def test_averages_of_whole_checkpoints_can_be_loaded_into_a_network(tmp_path: Path) -> None:
    run = Run(tmp_path, kept=3)
    for step in (1, 2, 3):
        run.save_at(step)
    (tmp_path / "step-000000002/progress.json").write_text("{}")
    files = saved_averages(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "step-000000001/ema-7.safetensors",
        "step-000000003/ema-7.safetensors",
    ]
    network = torch.nn.Module()
    network.weight = torch.nn.Parameter(torch.zeros(3))
    load_average(files[1], network)
    assert network.weight.tolist() == [-3.0] * 3
    network.weight = torch.nn.Parameter(torch.zeros(4))
    with pytest.raises(StraightflowError, match="of other shapes"):
        load_average(files[1], network)


def test_a_checkpoint_of_another_run_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    other, run = Run(tmp_path / "other", name="other"), Run(tmp_path / "run")
    run.save_at(1)
    for step in (1, 2, 3):
        other.save_at(step)
    copied = tmp_path / "run/step-000000003"
    shutil.copytree(tmp_path / "other/step-000000003", copied)
    again = Run(tmp_path / "run")
    with pytest.raises(StraightflowError, match=r"of run at step 3(.|\n)*one of other at step 3(.|\n)*move it out"):
        again.folder.load_newest(again.state)
    assert names(copied) == names(tmp_path / "other/step-000000003")
    copied.rename(tmp_path / "elsewhere")
    assert again.folder.load_newest(again.state)
    again.require_whole()
    assert again.state.step == 1


def test_a_checkpoint_under_the_name_of_another_step_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_at(1)
    shutil.copytree(tmp_path / "step-000000001", tmp_path / "step-000000007")
    again = Run(tmp_path)
    with pytest.raises(StraightflowError, match="at step 7"):
        again.folder.load_newest(again.state)


def test_the_averages_of_checkpoints_of_the_first_version_can_still_be_measured(tmp_path: Path, capsys) -> None:
    run = Run(tmp_path)
    run.save_at(1)
    record = tmp_path / "step-000000001/checkpoint.json"
    record.write_text(json.dumps(json.loads(record.read_text())["files"]))
    assert [file.name for file in saved_averages(tmp_path)] == ["ema-7.safetensors"]
    again = Run(tmp_path)
    assert not again.folder.load_newest(again.state)
    assert "does not say of which run it is" in capsys.readouterr().out


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"run": "run", "step": 2, "files": []}', '{"progress.json": "0"}'])
def test_a_checkpoint_that_does_not_say_of_which_run_it_is_is_passed_over(tmp_path: Path, record: str, capsys) -> None:
    run = Run(tmp_path)
    run.save_at(1)
    run.save_at(2)
    (tmp_path / "step-000000002/checkpoint.json").write_text(record)
    again = Run(tmp_path)
    assert again.folder.load_newest(again.state)
    assert again.state.step == 1
    assert "step-000000002 is damaged (checkpoint.json" in capsys.readouterr().out


def test_what_a_method_keeps_from_step_to_step_is_saved_and_restored_to_the_bit(tmp_path: Path) -> None:
    config, target = FrechetConfig(momentum=0.75), PixelFeatures(np.zeros(2), np.eye(2))
    methods = [build_method(config, LossConfig(name="l2"), torch.device("cpu"), features=target) for _ in range(2)]
    methods[0].moments.blend(torch.tensor([[1.0, 0.3], [0.1, 2.0]]))
    for method in methods:
        run = Run(tmp_path)
        run.state.objective = method
        if method is methods[0]:
            run.save_at(1)
        else:
            assert run.folder.load_newest(run.state)
    expected, found = (method.state_dict() for method in methods)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert int(found["count"]) == 1


def test_a_method_that_keeps_nothing_has_no_file(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.state.objective = OBJECTIVE
    run.save_at(1)
    assert not list(tmp_path.rglob("objective*"))
