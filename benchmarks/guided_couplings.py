"""How fast couplings are drawn from a guided, class-conditional transformer in latents, as ratios within one run.

    python -m benchmarks.guided_couplings                      # a tiny one and one of 40 M parameters, on two CPU cores
    python -m benchmarks.guided_couplings --device cuda --batch 256 --pairs 5120

Prints pairs/s of the coupling stage ÷ those of as many bare calls of the network: of twice the batch, as guidance calls
it for a class and for none. They take turns, so that load on the machine affects both alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel

from benchmarks.couplings import Setting, make_couplings, runtime_of, seconds
from benchmarks.device import require_device
from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.couplings import CouplingsConfig
from pipeline.config.pretrained import Promised
from pipeline.config.solver import SolverConfig
from pipeline.models.pretrained import adopt_pretrained
from pipeline.models.sampler import Sampler, load_sampler
from stages.entry import one_message

NUM_CLASSES, SCALE = 1000, 2.5
SIZES: dict[str, tuple[int, dict[str, int]]] = {
    "tiny": (8, {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2}),
    # DiT-S/2 of Peebles & Xie 2023, table 1. They count 33 M; diffusers embeds times and classes in every layer.
    "small": (32, {"num_attention_heads": 6, "attention_head_dim": 64, "num_layers": 12}),
}
"""Side of the latents, and the transformer."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with one_message():
        require_device(options.device)
        for size in options.sizes:
            with tempfile.TemporaryDirectory() as folder:
                compare(size, Path(folder), options)


def compare(size: str, folder: Path, options: argparse.Namespace) -> None:
    """Prints the ratio of one size: the median over rounds."""
    side, transformer = SIZES[size]
    shape = (4, side, side)
    save_transformer(folder / "theirs", side, transformer)
    autoencoder = AutoencoderConfig(source="teacher", latent_channels=4, downsampling=1)
    promised = Promised(null_class=NUM_CLASSES).of_latents(autoencoder, 3)
    adopt_pretrained(str(folder / "theirs"), shape, folder / "teacher", promised=promised)
    config = CouplingsConfig(
        source="teacher",
        num_pairs=options.pairs,
        solver=SolverConfig.model_validate({"name": "ddim", "num_steps": options.steps, "guidance": {"scale": SCALE}}),
        batch_size=options.batch,
        shard_pairs=options.pairs,
        dtype="float16",
        seed=0,
    )
    setting = Setting(folder / "teacher", shape, config, options.rounds)
    sampler = load_sampler(setting.teacher, runtime_of("bf16", fast=True))
    once = Setting(setting.teacher, shape, config.model_copy(update={"num_pairs": options.batch}), 1)
    make_couplings(sampler, once)
    ratios = []
    for _ in range(setting.rounds):
        ours, _, _ = make_couplings(sampler, setting)
        ratios.append(ours / bare_pairs(sampler, setting))
    count = sum(values.numel() for values in sampler.network.parameters()) / 1e6
    print(f"{size}, {count:.1f} M parameters, latents of {side}×{side}, bf16, {sampler.runtime.describe()}")
    print(
        f"  couplings ÷ bare calls {statistics.median(ratios):.3f} "
        f"(rounds {min(ratios):.3f} to {max(ratios):.3f}; last: {ours:,.1f} pairs/s)"
    )


def save_transformer(folder: Path, side: int, settings: dict[str, Any]) -> None:
    """One with random weights, and a small autoencoder, which couplings of latents do not call."""
    transformer = DiTTransformer2DModel(
        in_channels=4, out_channels=8, sample_size=side, patch_size=2, num_embeds_ada_norm=NUM_CLASSES, **settings
    )
    autoencoder = AutoencoderKL(latent_channels=4, block_out_channels=(4,), norm_num_groups=2, layers_per_block=1)
    scheduler = DDIMScheduler(timestep_spacing="trailing", clip_sample=False)
    DiTPipeline(transformer, autoencoder, scheduler).save_pretrained(folder)


def bare_pairs(sampler: Sampler, setting: Setting) -> float:
    """Pairs/s of the network's calls alone, for a class and for none at once."""
    config, device = setting.config, sampler.runtime.device
    x = torch.zeros(2 * config.batch_size, *setting.shape, device=device)
    timestep, labels = torch.full((len(x),), 500.0, device=device), torch.zeros(len(x), dtype=torch.long, device=device)
    calls = config.num_pairs // config.batch_size * (config.solver.num_steps or 1)

    def call(times: int) -> None:
        with torch.inference_mode(), sampler.runtime.autocast():
            for _ in range(times):
                sampler.network(x, timestep, labels)

    call(1)
    return config.num_pairs / seconds(lambda: call(calls))


if __name__ == "__main__":
    main()
