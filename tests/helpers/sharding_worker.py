"""Script of each process in tests/training/test_sharding.py: a training of each kind of network, in one folder.

torchrun --nproc-per-node N tests/helpers/sharding_worker.py FOLDER N
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import ModelMixin
from safetensors.torch import save_file

from helpers.process_worker import run_name
from helpers.small_dit import small_dit
from helpers.small_text_model import small_condition_unet, small_sd3
from helpers.small_training import OBJECTIVE, training_config
from helpers.small_unet import ONE_LEVEL, small_unet
from helpers.trainable_autoencoder import trainable_autoencoder
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.config.network import MLPConfig
from pipeline.methods.objective import Batch, Objective
from pipeline.methods.reconstruction import Reconstruction
from pipeline.models.networks import build_network, num_classes, sample_shape, starting_network
from pipeline.models.prompt_table import PromptTable
from pipeline.models.prompted import PromptedNetwork
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.training.loop import train

MLP = MLPConfig(width=8, num_layers=2, fourier_octaves=1, longest_wavelength=4.0)
CROSS_ATTENTION = ONE_LEVEL | {"down_block_types": ("CrossAttnDownBlock2D",), "up_block_types": ("CrossAttnUpBlock2D",)}
TRAINING = training_config(num_steps=2, batch_size=4, heldout_items=5)


def prompted(network: ModelMixin, **widths: int) -> PromptedNetwork:
    """With a table of three prompts and the empty one, of two words each; ``pooled_projections`` are of the whole."""
    network.register_to_config(_num_conditions=4)
    generator = torch.Generator().manual_seed(5)
    shapes = {name: (4, width) if name == "pooled_projections" else (4, 2, width) for name, width in widths.items()}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return PromptedNetwork(network, PromptTable(("a", "b", "c"), "", tensors))


NETWORKS: Mapping[str, Callable[[], ModelMixin]] = {
    "UNet2DModel": lambda: small_unet(**ONE_LEVEL, num_class_embeds=3),
    "VelocityMLP": lambda: build_network(MLP, (2,), seed=0),
    "DiTTransformer2DModel": lambda: starting_network(small_dit()),
    "UNet2DConditionModel": lambda: prompted(small_condition_unet(**CROSS_ATTENTION), encoder_hidden_states=8),
    "SD3Transformer2DModel": lambda: prompted(small_sd3(), encoder_hidden_states=24, pooled_projections=16),
    "TrainableAutoencoder": trainable_autoencoder,
}
"""A small network of each class that can be trained, by its name."""


class Samples:
    """Five pairs of a network's shape, with labels if it takes them, the same in every process."""

    def __init__(self, network: ModelMixin) -> None:
        generator = torch.Generator().manual_seed(1)
        self._batch = {name: torch.randn(5, *sample_shape(network), generator=generator) for name in ("x_0", "x_1")}
        if num_classes(network) is not None:
            self._batch["labels"] = torch.tensor([0, 1, 2, 1, 0])

    def __len__(self) -> int:
        return 5

    def load(self, indices: np.ndarray) -> Batch:
        return {name: values[indices] for name, values in self._batch.items()}

    def locate(self, index: int) -> str:
        return f"pair {index}"


def work(folder: Path, runtime: Runtime) -> None:
    """Trains each network and writes its weights, with its losses, trained and held out, as ``losses``.

    Those that can recompute their activations do.
    """
    for name, build in NETWORKS.items():
        network = build()
        samples = Samples(network)
        lean = TRAINING.model_copy(update={"gradient_checkpointing": network._supports_gradient_checkpointing})
        run = run_name(name, runtime)
        result = train(network, samples, objective_of(network), lean, runtime, folder / run, name, heldout=samples)
        if runtime.is_main:
            losses = [result.history[-1].loss, *result.heldout_loss_by_halflife.values()]
            save_file(network.state_dict() | {"losses": torch.tensor(losses)}, folder / f"{run}.safetensors")


def objective_of(network: ModelMixin) -> Objective:
    """What the network is trained for."""
    autoencoder = hasattr(network, "image_shape")
    return Reconstruction((2, 4, 4), kl_weight=1e-6) if autoencoder else OBJECTIVE


def main(folder: Path, num_processes: int) -> None:
    torch.set_num_threads(1)
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="off")
    runtime = open_runtime(compute, LaunchConfig(command="torchrun", num_processes=num_processes, sharded=True))
    work(folder, runtime)
    (folder / f"{run_name('finished', runtime)}-{runtime.accelerator.process_index}").write_text("")
    runtime.accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
