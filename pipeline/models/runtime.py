"""Device, precision and processes, decided once per stage and passed on explicitly."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs, TorchDynamoPlugin

from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.models.own_outputs import OwnOutputs
from pipeline.system.allocator import keep_freed_memory
from pipeline.system.device import float32_convolutions
from pipeline.system.errors import StraightflowError

# Values of environment variables that do not change results; Accelerate's launcher sets some. Other values would change
# the device, the precision of float32 products or the training itself, and no fingerprint covers them.
HARMLESS_VALUES: Mapping[str, tuple[str, ...]] = {
    "ACCELERATE_TORCH_DEVICE": (),
    "ACCELERATE_USE_DEEPSPEED": ("false",),
    "ACCELERATE_USE_FSDP": ("false",),
    "ACCELERATE_USE_MEGATRON_LM": ("false",),
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("false",),
    "DNNL_DEFAULT_FPMATH_MODE": ("strict",),
    "NVIDIA_TF32_OVERRIDE": ("0",),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("strict",),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("0",),
}

# How long a process waits for the others. Some rightly wait for hours: for another's last shard of couplings, or while
# the main process alone measures. One that died is noticed by its launcher, which ends the others, so torch's own limit
# of 10 minutes (NCCL) or 30 (gloo) would only end runs that are well.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Runtime:
    """What network calls run on.

    Attributes:
        accelerator: Processes, devices and checkpoints.
        precision: Autocast type of network calls.
        compile: Whether networks are compiled.
        channels_last: Whether networks and images are stored channels last.
        sharded: Whether training divides weights and optimizer among the processes.
        num_loader_workers: Processes that prepare training batches in advance; None lets the training choose.
        cuda_graphs: Whether networks that are sampled are replayed as CUDA graphs, on GPUs; they are compiled then.
    """

    accelerator: Accelerator
    precision: Literal["fp32", "bf16"]
    compile: bool
    channels_last: bool
    sharded: bool = False
    num_loader_workers: int | None = None
    cuda_graphs: bool = False

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes shared files and shows progress."""
        return bool(self.accelerator.is_main_process)

    def autocast(self) -> AbstractContextManager[None]:
        """The region of network calls outside training: autocast in bf16, convolutions of float32 without TF32 in fp32.

        In fp32 there is no autocast, not even a disabled one: that still sets its cast type, and a change of it makes a
        compiled network compile again.
        """
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return float32_convolutions()

    def uncompiled(self) -> AbstractContextManager[None]:
        """A region in which compiled networks are called as they were written.

        For calls of a size that comes a few times: a network is compiled for each size, which takes longer than they.
        """
        return torch.compiler.set_stance("force_eager") if self.compile else nullcontext()

    def place(self, network: torch.nn.Module) -> torch.nn.Module:
        """Moves a network to the device, in the configured memory format, in evaluation mode."""
        network = network.to(self.device).eval().requires_grad_(False)
        if self.channels_last:
            network = network.to(memory_format=torch.channels_last)
        if self.cuda_graphs:
            network.compile(mode="reduce-overhead")
            return OwnOutputs(network)
        if self.compile:
            network.compile()
        return network

    def describe(self) -> str:
        """Process count and device in one line."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return f"{self.accelerator.num_processes} x {name}"


def open_runtime(compute: ComputeConfig, launch: LaunchConfig) -> Runtime:
    """Joins the process group and resolves every ``auto``; on CPUs the process keeps the memory it frees.

    Raises:
        StraightflowError: If the launch command started another number of processes than configured, as ``accelerate
            launch`` on CPUs does silently; or if the environment would change results.
    """
    require_harmless_environment(os.environ)
    # Unless the number of threads is set, MKL may use fewer in some calls (MKL_DYNAMIC), and then does not promise
    # equal bits from run to run.
    torch.set_num_threads(torch.get_num_threads())
    gpu = torch.cuda.is_available()
    if not gpu:
        keep_freed_memory()
    precision = precision_here(compute)
    # Accelerate would otherwise read these from the environment; micro-batches and compilation are done here.
    accelerator = Accelerator(
        cpu=not gpu,
        mixed_precision="bf16" if precision == "bf16" else "no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        dynamo_plugin=TorchDynamoPlugin(backend="no"),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    if accelerator.num_processes != launch.num_processes:
        raise StraightflowError(
            expected=f"{launch.num_processes} process(es), as launch.num_processes says",
            found=f"{accelerator.num_processes}",
            mend="correct launch.num_processes or launch.command; on CPUs use torchrun, since accelerate launch "
            "starts one process there",
        )
    return Runtime(
        accelerator=accelerator,
        precision=precision,
        compile=compiles_here(compute),
        channels_last=channels_last_here(compute),
        sharded=launch.sharded,
        num_loader_workers=launch.num_loader_workers,
        cuda_graphs=compute.compile == "cuda_graphs",
    )


def require_harmless_environment(environment: Mapping[str, str]) -> None:
    """Raises StraightflowError if a variable has a value that would change results, see ``HARMLESS_VALUES``."""
    for name, harmless in HARMLESS_VALUES.items():
        value = environment.get(name, "").lower()
        if value not in ("", *harmless):
            raise StraightflowError(
                expected=f"the environment variable {name} {' or '.join((*harmless, 'unset'))}, as it changes results",
                found=environment[name],
                mend=f"unset {name}; devices, precision and processes are chosen under compute and launch",
            )


def precision_here(compute: ComputeConfig) -> Literal["fp32", "bf16"]:
    """The configured precision, with ``auto`` as it is decided on this machine."""
    if compute.precision != "auto":
        return compute.precision
    return "bf16" if _has_bf16_units(torch.cuda.is_available()) else "fp32"


def compiles_here(compute: ComputeConfig) -> bool:
    """Whether networks are compiled, with ``auto`` as it is decided on this machine."""
    return torch.cuda.is_available() if compute.compile == "auto" else compute.compile != "off"


def channels_last_here(compute: ComputeConfig) -> bool:
    """Whether networks and images are channels last, with ``auto`` as it is decided on this machine."""
    if compute.channels_last != "auto":
        return compute.channels_last == "on"
    return torch.cuda.is_available() and compiles_here(compute)


def _has_bf16_units(gpu: bool) -> bool:
    """Whether bfloat16 is fast here; torch also counts GPUs before Ampere, which emulate it slower than float32."""
    if gpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
