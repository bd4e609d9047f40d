"""What holds while a run trains and is put back as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import ModelMixin

from pipeline.compute import Runtime
from pipeline.config import TrainingConfig
from pipeline.sharding import keep_state_whole, leave_whole, sharded_copy


@contextmanager
def training_context(
    unet: ModelMixin, config: TrainingConfig, runtime: Runtime
) -> Iterator[tuple[torch.nn.Module, torch.optim.Optimizer]]:
    """Places ``unet`` and yields it as wrapped for its processes, with its optimizer.

    Sharded, it is a copy that is yielded, whose parameters are left in ``unet`` at the end. Inside, float32 products on
    GPUs may use TF32, and torch's global generators, which only dropout draws from, are forked. Afterwards the
    accelerator has forgotten both objects.
    """
    on_gpu = runtime.device.type == "cuda"
    if runtime.channels_last and not runtime.sharded:  # only contiguous weights can be sharded
        unet.to(memory_format=torch.channels_last)
    if runtime.sharded:
        network = sharded_copy(unet, runtime.device, runtime.accelerator.num_processes)
    else:
        network = unet.to(runtime.device)
    if runtime.compile:
        network.compile()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    matmul_precision = torch.get_float32_matmul_precision()
    try:
        if on_gpu:
            torch.set_float32_matmul_precision("high")
        with torch.random.fork_rng(devices=[runtime.device] if on_gpu else []):
            if runtime.sharded:
                keep_state_whole(optimizer)
                # Accelerate's own sharding is for GPUs alone. As if for evaluation, it leaves the network unwrapped.
                network = runtime.accelerator.prepare_model(network, evaluation_mode=True)
                yield network, runtime.accelerator.prepare(optimizer)
                leave_whole(network, unet)
            else:
                yield runtime.accelerator.prepare(network, optimizer)
    finally:
        torch.set_float32_matmul_precision(matmul_precision)
        runtime.accelerator.free_memory()
