"""Script of each process in tests/training/test_processes.py: couplings, then trainings, in one folder.

torchrun --nproc-per-node N tests/helpers/process_worker.py FOLDER N [sharded]
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import ModelMixin
from safetensors.torch import save_file

import pipeline.training.loop as training
from helpers.at_step import Killed, at_step, die
from helpers.learnable_features import PixelFeatures
from helpers.small_training import OBJECTIVE, Pairs, training_config
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.config.couplings import CouplingsConfig
from pipeline.config.flow import LossConfig
from pipeline.config.methods import FrechetConfig
from pipeline.config.solver import SolverConfig
from pipeline.config.training import TrainingConfig
from pipeline.config.watch import WatchConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.data.pixels import to_uint8
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.few_step_fid import FewStepFid
from pipeline.evaluation.reference import open_reference
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import stream_key
from pipeline.methods.any_step import AnyStep
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective
from pipeline.metrics.features import FeatureExtractor
from pipeline.models.networks import load_network
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.training.setup import prepared
from pipeline.training.watching import QuickFid, Watcher
from stages.watching import as_wrapped, preview_of

COUPLINGS = CouplingsConfig(
    source="round1",
    num_pairs=45,
    solver=SolverConfig(name="euler", num_steps=2),
    batch_size=4,
    shard_pairs=10,
    dtype="uint8",
    seed=7,
)
ANY_STEP = AnyStep(VelocityLoss(l2), share_at_noise=0.5, latest_time=0.95)
PARTS = ((Pairs().x_1, "train"), (Pairs().x_0, "heldout"))
TRAINING = training_config(
    num_steps=8,
    batch_size=6,
    ema_halflife_images=20,
    ema_rampup_ratio=0.5,
    ema_other_halflives_images=(6,),
    checkpoint_every_steps=3,
    heldout_items=20,
    heldout_every_steps=4,
)
MUON = TRAINING.model_copy(update={"optimizer": "muon"})


def work(folder: Path, runtime: Runtime) -> None:
    """With N processes, writes ``store-N`` and the files of :func:`train_once` for seven trainings.

    ``whole`` starts from scratch; ``accumulated`` accumulates gradients; ``continued`` resumes from the checkpoints in
    ``interrupted``; ``any-step`` and ``any-step-accumulated`` call the network twice a step, ``frechet`` three times,
    twice of them with a gradient; ``muon`` orthogonalizes the steps of hidden weights.
    """
    count = runtime.accelerator.num_processes
    student = folder / "student"
    require_buffers_left_alone(student, runtime)
    generate_couplings(load_sampler(student, runtime), COUPLINGS, folder / f"runs-{count}", folder / f"store-{count}")
    train_once("whole", TRAINING, folder, runtime)
    if count < 3:
        accumulated = TRAINING.model_copy(update={"gradient_accumulation_steps": 3})
        train_once("accumulated", accumulated, folder, runtime)
        train_once("any-step-accumulated", accumulated, folder, runtime, objective=ANY_STEP)
    train_once("any-step", TRAINING, folder, runtime, objective=ANY_STEP)
    train_once("frechet", TRAINING, folder, runtime, objective=frechet())
    train_once("muon", MUON, folder, runtime)
    train_once("continued", TRAINING, folder, runtime, copied(folder / "interrupted", folder / "continued", runtime))


def frechet() -> Objective:
    """A new one, as each training has running moments of its own: of the 64 pixels, to be like N(0, I)."""
    config, target = FrechetConfig(share_at_noise=0.5, momentum=0.75), PixelFeatures(np.zeros(64), np.eye(64))
    return build_method(config, LossConfig(name="l2"), torch.device("cpu"), features=target)


def require_buffers_left_alone(student: Path, runtime: Runtime) -> None:
    """Forward passes in training send no buffers, such as a table of prompts, from one process to the others."""
    own = torch.tensor(runtime.accelerator.process_index)
    unet = load_network(student)
    unet.register_buffer("own", own.clone())
    with prepared(unet, TRAINING, runtime) as (network, _):
        unet.own.copy_(own)
        network(Pairs().x_0[:2], torch.zeros(2))
        assert torch.equal(unet.own, own), f"process {own} got the buffer of process {unet.own}"


def work_sharded(folder: Path, runtime: Runtime) -> None:
    """Writes the files of :func:`train_once` for seven trainings.

    ``whole``, ``accumulated``, ``any-step``, ``muon`` and ``continued`` are as in :func:`work`; ``reformatted`` resumes
    from ``interrupted-channels-last``; ``killed`` dies in its sixth step, its checkpoints are copied to ``left``, and
    it is started again.
    """
    train_once("whole", TRAINING, folder, runtime)
    one_by_one = {"gradient_accumulation_steps": TRAINING.batch_size // runtime.accelerator.num_processes}
    train_once("accumulated", TRAINING.model_copy(update=one_by_one), folder, runtime)
    train_once("any-step", TRAINING, folder, runtime, objective=ANY_STEP)
    train_once("muon", MUON, folder, runtime)
    for name, start in (("continued", "interrupted"), ("reformatted", "interrupted-channels-last")):
        train_once(name, TRAINING, folder, runtime, copied(folder / start, folder / name, runtime))
    with at_step(5, die), contextlib.suppress(Killed):
        train_once("killed", TRAINING, folder, runtime)
    copied(folder / run_name("killed", runtime), folder / "left", runtime)
    train_once("killed", TRAINING, folder, runtime)


def run_name(name: str, runtime: Runtime) -> str:
    """Name of a run with these processes."""
    return f"{name}-{'sharded-' if runtime.sharded else ''}{runtime.accelerator.num_processes}"


def copied(run: Path, place: Path, runtime: Runtime) -> Path:
    """A copy of a run's checkpoints in a folder of its own for these processes; its name says whose they are."""
    copy = place.with_name(run_name(place.name, runtime)) / run.name
    if runtime.is_main:
        shutil.copytree(run, copy)
    runtime.accelerator.wait_for_everyone()
    return copy


def train_once(
    name: str,
    config: TrainingConfig,
    folder: Path,
    runtime: Runtime,
    checkpoints: Path | None = None,
    objective: Objective = OBJECTIVE,
) -> None:
    """Trains, and writes the weights as safetensors and each row's and each average's losses as JSON.

    Resumes from ``checkpoints`` if they are given.

    Files are named by :func:`run_name`. The last entry of the JSON is the FID measured in training, after step 6.
    The file that ends in ``-calls`` has the samples that went forward and backward, as JSON.
    """
    run = run_name(name, runtime)
    unet = load_network(folder / "student")
    fids: list[float] = []
    watcher = watcher_of(unet, folder, run, runtime, fids)
    run_folder = checkpoints or folder / run
    result = training.train(
        unet, Pairs(), objective, config, runtime, run_folder, name, heldout=Pairs(), watcher=watcher
    )
    watcher.finish()
    if runtime.is_main:
        save_file(unet.cpu().state_dict(), folder / f"{run}.safetensors")
        calls = (result.compute.samples_forward, result.compute.samples_backward)
        (folder / f"{run}-calls").write_text(json.dumps(calls))
        (folder / f"{run}.json").write_text(
            json.dumps(
                [(row.step, row.loss, row.heldout_loss) for row in result.history]
                + list(result.heldout_loss_by_halflife.items())
                + [(6, *fids)]
            )
        )


def watcher_of(unet: ModelMixin, folder: Path, run: str, runtime: Runtime, fids: list[float]) -> Watcher:
    """A watcher that samples and measures FID every sixth step and appends it to ``fids``; features are row means."""
    extractor = FeatureExtractor("rows", "0", lambda images: images.float().mean(dim=(1, 3)).numpy())
    train, heldout = (SampleSet(to_uint8(part).numpy(), None, name) for part, name in PARTS)
    reference = open_reference(
        train, heldout, "train", extractor, runtime, feature_counts=(4,), batch_size=9, folder=folder / "references"
    )
    fid_of = FewStepFid(reference, stream_key("training", 0), num_samples=20, batch_size=3)
    solver = SolverConfig(name="euler", num_steps=2)
    sampler = as_wrapped(unet, None, runtime)

    def measure(network: torch.nn.Module) -> float:
        fids.append(fid_of(sampler(network), solver))
        return fids[-1]

    config = WatchConfig(trackers=("tensorboard",), samples_every_steps=6, fid_every_steps=6)
    return Watcher(config, folder / f"{run}-watch", preview_of(sampler, solver), runtime, QuickFid("fid", measure))


def main(folder: Path, num_processes: int, sharded: bool) -> None:
    torch.set_num_threads(1)
    # Sharded as on GPUs, where channels_last is on.
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="on" if sharded else "off")
    runtime = open_runtime(compute, LaunchConfig(command="torchrun", num_processes=num_processes, sharded=sharded))
    (work_sharded if sharded else work)(folder, runtime)
    waits = torch.distributed.group.WORLD._get_backend(runtime.device).options._timeout
    mark = folder / f"{run_name('finished', runtime)}-{runtime.accelerator.process_index}"
    mark.write_text(f"{waits.total_seconds():.0f}")
    runtime.accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["sharded"])
