"""Training loops of other libraries, as written in their own examples.

Every function returns a training step, to be called repeatedly. All get the same images, batch size and precision,
and run where the network is; only the step differs.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset

LEARNING_RATE = 2e-4
Step = Callable[[], None]


class Images(Dataset[torch.Tensor]):
    """uint8 images, converted to float in [-1, 1] one at a time, as a torchvision transform would."""

    def __init__(self, images: torch.Tensor) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._images[index].float() / 127.5 - 1


def wait_for(device: torch.device) -> None:
    """Waits until everything that was started on a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_of(network: torch.nn.Module) -> torch.device:
    """Where a network is."""
    return next(network.parameters()).device


def timed(step: Step, num_blocks: int, block_steps: int, device: torch.device) -> list[float]:
    """Seconds of each of ``num_blocks`` blocks of ``block_steps`` steps on ``device``."""
    seconds = []
    for _ in range(num_blocks):
        wait_for(device)
        start = time.perf_counter()
        for _ in range(block_steps):
            step()
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    return seconds


def endless(images: torch.Tensor, batch_size: int) -> Iterator[torch.Tensor]:
    """Endless shuffled batches."""
    while True:
        yield from DataLoader(Images(images), batch_size=batch_size, shuffle=True, drop_last=True)


def bare(unet: UNet2DModel, images: torch.Tensor, batch_size: int, bf16: bool) -> Step:
    """The limit: forward, backward and fused AdamW on a fixed batch."""
    device = device_of(unet)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=LEARNING_RATE, fused=True)
    x = images[:batch_size].to(device).float() / 127.5 - 1
    target, t = torch.randn_like(x), 1000 * torch.rand(batch_size, device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            output = unet(x, t, return_dict=False)[0]
        mse_loss(output.float(), target).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def torchcfm_example(unet: UNet2DModel, images: torch.Tensor, batch_size: int, bf16: bool) -> Step:
    """TorchCFM's image example: its flow matcher, Adam with a warm-up schedule, an average over the state dict."""
    from torchcfm.conditional_flow_matching import ConditionalFlowMatcher

    device = device_of(unet)
    matcher = ConditionalFlowMatcher(sigma=0.0)
    averaged = copy.deepcopy(unet)
    optimizer = torch.optim.Adam(unet.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda step: min(step, 5000) / 5000)
    batches = endless(images, batch_size)

    def update_average(decay: float) -> None:
        current, average = unet.state_dict(), averaged.state_dict()
        for name in current:
            average[name].data.copy_(average[name].data * decay + current[name].data * (1 - decay))

    def step() -> None:
        optimizer.zero_grad()
        x_1 = next(batches).to(device)
        t, x_t, target = matcher.sample_location_and_conditional_flow(torch.randn_like(x_1), x_1)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            output = unet(x_t, 1000 * t).sample
        torch.mean((output - target) ** 2).backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        update_average(0.9999)

    return step


def diffusers_example(unet: UNet2DModel, images: torch.Tensor, batch_size: int, bf16: bool) -> Step:
    """diffusers' unconditional example: Accelerate, its EMA class, a scheduler object, the loss read every step."""
    accelerator = Accelerator(cpu=device_of(unet).type == "cpu", mixed_precision="bf16" if bf16 else "no")
    noise_scheduler = DDPMScheduler()
    averaged = EMAModel(unet.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=LEARNING_RATE, betas=(0.95, 0.999), weight_decay=1e-6)
    schedule = get_scheduler("cosine", optimizer=optimizer, num_warmup_steps=500, num_training_steps=10**6)
    loader = DataLoader(Images(images), batch_size=batch_size, shuffle=True, drop_last=True)
    prepared: tuple[Any, ...] = accelerator.prepare(unet, optimizer, loader, schedule)
    network, optimizer, loader, schedule = prepared

    def epochs() -> Iterator[torch.Tensor]:
        while True:
            yield from loader

    batches = epochs()

    def step() -> None:
        clean = next(batches)
        noise = torch.randn_like(clean)
        timesteps = torch.randint(0, 1000, (len(clean),), device=clean.device).long()
        noisy = noise_scheduler.add_noise(clean, noise, timesteps)
        with accelerator.accumulate(network):
            loss = mse_loss(network(noisy, timesteps).sample.float(), noise.float())
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        averaged.step(network.parameters())
        accelerator.log({"loss": loss.detach().item(), "lr": schedule.get_last_lr()[0]})

    return step
