"""The network and its optimizers, placed and wrapped for the processes of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import ModelMixin
from torch.nn.parallel import DistributedDataParallel

from pipeline.config.training import TrainingConfig
from pipeline.models.runtime import Runtime
from pipeline.training.muon import Muon, hidden_weights
from pipeline.training.sharding import leave_whole, sharded_copy


@contextmanager
def prepared(
    original: ModelMixin, config: TrainingConfig, runtime: Runtime
) -> Iterator[tuple[torch.nn.Module, list[torch.optim.Optimizer]]]:
    """Places ``original`` and yields it as wrapped for its processes, with its optimizers: each weight has one.

    Sharded training works on a copy, whose parameters are copied back into ``original`` at the end. Inside the block
    float32 products on GPUs may use TF32, and torch's global generators, which only dropout draws from, are forked.
    After it both are as before, and the accelerator holds neither network nor optimizers.
    """
    on_gpu = runtime.device.type == "cuda"
    place_for_training(original, runtime)
    network = original
    if runtime.sharded:
        network = sharded_copy(original, runtime.device, runtime.accelerator.num_processes)
    if runtime.compile:
        network.compile()
    optimizers = _optimizers(network, config)
    matmul_precision = torch.get_float32_matmul_precision()
    try:
        if on_gpu:
            torch.set_float32_matmul_precision("high")
        with torch.random.fork_rng(devices=[runtime.device] if on_gpu else []):
            if runtime.sharded:
                # Evaluation mode leaves the network unwrapped; Accelerate's own sharding is for GPUs alone.
                network = runtime.accelerator.prepare_model(network, evaluation_mode=True)
                yield network, [runtime.accelerator.prepare(optimizer) for optimizer in optimizers]
                leave_whole(network, original)
            else:
                network, *optimizers = runtime.accelerator.prepare(network, *optimizers)
                if isinstance(network, DistributedDataParallel):
                    # They are the same in all processes once it is wrapped, and training changes none; sent before each
                    # forward pass, a table of prompts would take longer than the pass.
                    network.forward_sync_buffers = False
                yield network, optimizers
    finally:
        torch.set_float32_matmul_precision(matmul_precision)
        runtime.accelerator.free_memory()


def place_for_training(network: ModelMixin, runtime: Runtime) -> None:
    """Moves a network to its training device, in its training memory format; one to be sharded stays as it is.

    Only contiguous weights can be sharded, and no process needs to hold them whole.
    """
    if not runtime.sharded:
        if runtime.channels_last:
            network.to(memory_format=torch.channels_last)
        network.to(runtime.device)


def _optimizers(network: ModelMixin, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    settings: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    hidden = hidden_weights(network) if config.optimizer == "muon" else []
    chosen = set(map(id, hidden))
    others = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(others, **settings, fused=True)]
    if hidden:
        optimizers.append(Muon(hidden, **settings))
    for optimizer in optimizers:
        optimizer.register_load_state_dict_post_hook(_lay_out_like_parameters)
    return optimizers


@torch.no_grad()
def _lay_out_like_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Gives loaded moments the strides of their parameters.

    ``load_state_dict`` keeps the file's strides, and fused AdamW walks raw memory: moments saved in channels_last would
    be paired with the wrong weights of a contiguous network.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(value)
