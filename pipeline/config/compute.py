"""How stages are launched and what their network calls run on."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pipeline.config.section import CommandLine, NonNegativeInt, PositiveInt, Section


class LaunchConfig(Section):
    """How stages are started.

    ``command`` and ``python`` are put into commands that a shell runs, as they are: whoever writes them decides what
    runs, like whoever writes ``dvc.yaml``. They and ``num_processes`` are the only settings trusted so; others reach
    no shell, and none is imported or evaluated as code.

    Attributes:
        command: Put before ``-m stages.<name>`` of stages that use several processes: ``python``, ``accelerate
            launch …`` or ``torchrun …``.
        python: The same of stages that run in one process.
        num_processes: The number of processes the command must yield; another number is an error.
        sharded: Whether processes that train divide the weights, their averages and Adam's moments among them, see
            :mod:`pipeline.training.sharding`; otherwise each holds all.
        num_loader_workers: Processes beside each one that trains, which make batches ahead; 0 makes them between the
            steps. null: 4 on GPUs, 0 on CPUs, and 0 where /dev/shm has no room for their batches. Changes no result.
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
    """Device-dependent speed settings; ``auto`` decides by what the hardware does well.

    Attributes:
        precision: Autocast type of network calls. ``auto``: bf16 on GPUs and on CPUs with bf16 units,
            otherwise fp32. Weights, noise, losses and ODE states are float32 always.
        compile: Whether networks go through ``torch.compile``. ``auto``: on GPUs only.
        channels_last: Memory format of networks and images. ``auto``: on GPUs only. Sharded weights keep the ordinary
            one while they are trained.
    """

    precision: Literal["auto", "fp32", "bf16"]
    compile: Literal["auto", "on", "off"]
    channels_last: Literal["auto", "on", "off"]
