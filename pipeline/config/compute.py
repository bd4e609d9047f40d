"""How stages are launched and what their network calls run on."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pipeline.config.section import CommandLine, NonNegativeInt, PositiveInt, Section


class LaunchConfig(Section):
    """How stages are started.

    ``command`` and ``python`` are pasted unchanged into shell commands, so they need the same trust as ``dvc.yaml``.
    Besides ``num_processes`` no other setting reaches a shell, and no setting is imported or evaluated as code.

    Attributes:
        command: Put before ``-m stages.<name>`` for stages that use several processes: ``python``, ``accelerate launch
            …`` or ``torchrun …``.
        python: The same for stages that run in one process.
        num_processes: Processes that the command must start; another number is an error.
        sharded: Whether training processes divide the weights, their averages and the optimizers' moments among
            themselves, see :mod:`pipeline.training.sharding`; otherwise each process holds all of them.
        num_loader_workers: Workers per training process that prepare batches in advance; 0 prepares them between steps.
            null: 4 on GPUs, 0 on CPUs or where /dev/shm has no room for their batches. Changes no result.
    """

    command: CommandLine
    python: CommandLine = "python"
    num_processes: PositiveInt
    sharded: bool = False
    num_loader_workers: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _processes_agree(self) -> LaunchConfig:
        if self.num_processes > 1 and self.command == self.python:
            raise ValueError(f"{self.command!r} starts one process, not num_processes ({self.num_processes})")
        if self.sharded and self.num_processes == 1:
            raise ValueError(
                "sharded divides weights among processes: set num_processes and a command that starts them"
            )
        return self


ONE_PROCESS = LaunchConfig(command="python", num_processes=1)


class ComputeConfig(Section):
    """Device-dependent speed settings; ``auto`` picks what is fast on the hardware.

    Attributes:
        precision: Autocast type of network calls. ``auto``: bf16 on GPUs and on CPUs with bf16 units,
            otherwise fp32. Weights, noise, losses and ODE states are float32 always. In fp32 GPUs use TF32 in training
            alone.
        compile: Whether networks go through ``torch.compile``. ``auto``: on GPUs only. ``cuda_graphs`` compiles as
            ``on`` does, and replays a network that is sampled as one CUDA graph: for small batches, whose kernels take
            less time than their launch.
        channels_last: Memory format of networks and images. ``auto``: where networks are compiled on GPUs; without,
            torch's group norm loses more in it than convolutions win (docs/gpu.md). Sharded weights stay contiguous in
            training.
    """

    precision: Literal["auto", "fp32", "bf16"]
    compile: Literal["auto", "on", "off", "cuda_graphs"]
    channels_last: Literal["auto", "on", "off"]
