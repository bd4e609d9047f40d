"""One, two and three processes on CPUs: the same couplings and the same student."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.at_step import Killed, at_step, die
from helpers.process_worker import ANY_STEP, MUON, TRAINING, train_once, work
from helpers.project_folders import launch
from helpers.small_training import OBJECTIVE, Pairs
from helpers.small_unet import ONE_LEVEL, small_unet
from pydantic import ValidationError
from safetensors.torch import load_file

import pipeline.training.loop as training
from pipeline.config.compute import ONE_PROCESS, ComputeConfig, LaunchConfig
from pipeline.models.networks import load_network
from pipeline.models.runtime import open_runtime
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder


@pytest.fixture
def folder(runtime, tmp_path: Path) -> Path:
    """A student, and the checkpoints of two runs of one process that ended after their fifth step.

    The student has one level, as every tensor of it costs time wherever sharded weights are gathered.
    ``interrupted`` is of weights stored contiguous, ``interrupted-channels-last`` as on GPUs.
    """
    save_student(small_unet(**ONE_LEVEL), tmp_path / "student")
    channels_last = open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="on"), ONE_PROCESS)
    for name, chosen in (("interrupted", runtime), ("interrupted-channels-last", channels_last)):
        unet = load_network(tmp_path / "student")
        with at_step(5, die), pytest.raises(Killed):
            training.train(unet, Pairs(), OBJECTIVE, TRAINING, chosen, tmp_path / name, name)
        assert [item.name for item in (tmp_path / name).glob("step-*")] == ["step-000000003"]
    return tmp_path


def require_same_training(folder: Path, one: str, other: str, own_steps: int | None = None, generated: int = 0) -> None:
    """Equal to rounding: losses, held-out losses, weights, and FID, whose images are rounded to pixels.

    Weights are compared tensor by tensor, with how far training moved them: where a gradient is rounding alone, Adam
    scales it up to a whole step, so single entries may differ by more. ``own_steps`` are any_step's in a step of
    ``other``: half of the rows of each micro-batch, rounded up. Without gradients it takes one for every row.
    ``generated`` are images that a method makes besides, each with its gradient.
    """
    rows = [json.loads((folder / f"{name}.json").read_text()) for name in (one, other)]
    assert [row[0] for row in rows[0]] == [4, 8, 20, 6, 6]  # two records, two half-lives, and FID
    assert rows[1][:-1] == [pytest.approx(row, rel=1e-5) for row in rows[0][:-1]]
    assert rows[1][-1] == pytest.approx(rows[0][-1], rel=1e-3)
    calls = [json.loads((folder / f"{name}-calls").read_text()) for name in (one, other)]
    # 8 steps of 6; and 24 rows a held-out loss (4 batches of 6), at steps 4 and 8 and of both averages at the end.
    trained, heldout = 8 * 6, 24 * (2 + 2)
    trained += generated
    if own_steps is None:
        assert calls == [[trained + heldout, trained]] * 2
    else:
        assert calls == [[trained + 8 * steps + 2 * heldout, trained] for steps in (3, own_steps)]
    weights = [load_file(folder / f"{name}.safetensors") for name in (one, other)]
    # A key's bias shifts all scores of a query alike and softmax undoes that, so its gradient is rounding
    # alone, which Adam scales up.
    start = load_network(folder / "student").state_dict()
    for name in [name for name in weights[0] if not name.endswith("to_k.bias")]:
        moved = (weights[0][name] - start[name]).norm()
        assert (weights[0][name] - weights[1][name]).norm() < 1e-3 * moved, name


@pytest.mark.usefixtures("one_thread")
def test_several_processes_make_the_same_couplings_and_the_same_student(runtime, folder: Path) -> None:
    start = {name: value.clone() for name, value in load_network(folder / "student").state_dict().items()}
    work(folder, runtime)
    trained = load_file(folder / "whole-1.safetensors")
    assert max((value - start[name]).abs().max() for name, value in trained.items()) > 1e-3  # it did train
    require_same_training(folder, "whole-1", "continued-1")
    require_same_training(folder, "whole-1", "accumulated-1")
    for count in (2, 3):
        launch("process_worker.py", folder, count)
        # Each process wrote its own mark, and was refused if there were not as many as it was told.
        marks = [mark.read_text() for mark in folder.glob(f"finished-{count}-*")]
        assert marks == [str(7 * 24 * 3600)] * count  # seconds that it waits for others
        assert fingerprint_folder(folder / f"store-{count}") == fingerprint_folder(folder / "store-1")
        require_same_training(folder, "whole-1", f"whole-{count}")
        require_same_training(folder, "whole-1", f"continued-{count}")
        require_same_training(folder, "muon-1", f"muon-{count}")
        # 2 processes of 3 rows, 3 of 2.
        require_same_training(folder, "any-step-1", f"any-step-{count}", own_steps={2: 4, 3: 3}[count])
        # 2 images a pair.
        require_same_training(
            folder, "frechet-1", f"frechet-{count}", own_steps={2: 4, 3: 3}[count], generated=8 * 6 * 2
        )
    require_same_training(folder, "whole-1", "accumulated-2")
    require_same_training(folder, "any-step-1", "any-step-accumulated-1", own_steps=3)  # 3 micro-batches of 2 rows
    require_same_training(folder, "any-step-1", "any-step-accumulated-2", own_steps=6)  # 6 of 1 row


@pytest.mark.usefixtures("one_thread")
def test_sharded_processes_make_the_same_student_and_go_on_from_any_checkpoint(runtime, folder: Path) -> None:
    train_once("whole", TRAINING, folder, runtime)
    train_once("any-step", TRAINING, folder, runtime, objective=ANY_STEP)
    train_once("muon", MUON, folder, runtime)
    # Three processes: neither the channels nor the last held-out batch divide evenly.
    launch("process_worker.py", folder, 3, "sharded")
    assert len(list(folder.glob("finished-sharded-3-*"))) == 3
    for name in ("whole", "accumulated", "continued"):
        require_same_training(folder, "whole-1", f"{name}-sharded-3")
    require_same_training(folder, "whole-1", "reformatted-sharded-3")
    require_same_training(folder, "any-step-1", "any-step-sharded-3", own_steps=3)
    require_same_training(folder, "muon-1", "muon-sharded-3")
    for suffix in ("safetensors", "json"):
        killed, whole = ((folder / f"{name}-sharded-3.{suffix}").read_bytes() for name in ("killed", "whole"))
        assert killed == whole
    left = folder / "left-sharded-3/killed-sharded-3"
    assert [item.name for item in left.glob("step-*")] == ["step-000000003"]
    train_once("unsharded", TRAINING, folder, runtime, left)
    require_same_training(folder, "whole-1", "unsharded-1")


def test_one_process_cannot_shard() -> None:
    with pytest.raises(ValidationError, match="sharded divides weights among processes: set num_processes"):
        LaunchConfig(command="python", num_processes=1, sharded=True)


def test_a_launch_that_got_fewer_processes_than_configured_is_refused() -> None:
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="off")
    with pytest.raises(StraightflowError, match=r"expected: 2 process(.|\n)*found: 1(.|\n)*torchrun"):
        open_runtime(compute, LaunchConfig(command="accelerate launch --cpu --num_processes 2", num_processes=2))
