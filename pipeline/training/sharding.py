"""Fully sharded training: every process keeps a part of each weight, of its average and of its moments.

torch's ``fully_shard`` (FSDP2; Zhao et al. 2023) gathers a block's weights when it is reached, forward and backward,
and divides its gradients among the processes. Outside training nothing is sharded: what is saved, checkpoints included,
is whole, so that a run may go on with another number of processes, sharded or not. Weights and moments are gathered by
``torch.distributed.checkpoint.state_dict``; averages of weights, no part of a module, and what every process must have
whole at once are gathered here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from diffusers import ModelMixin
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from pipeline.models.networks import called_besides
from pipeline.models.prompted import bare


def sharded_copy(network: ModelMixin, device: torch.device, num_processes: int) -> ModelMixin:
    """A copy of ``network`` on ``device`` whose parameters are divided among the processes."""
    sharded: ModelMixin = copy.deepcopy(network)
    mesh = init_device_mesh(device.type, (num_processes,))
    # Freed after each forward pass and gathered again for the backward pass: copies kept after a forward pass alone
    # would be stale once the weights are replaced by their averages.
    # What is called without its block is gathered by itself, as the block's weights are not there then.
    for module in (*called_besides(sharded), *_blocks(sharded), sharded):
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
        if device.type == "cpu":
            module.set_force_sum_reduction_for_comms(True)  # gloo has no mean
    return sharded


def largest_block(network: ModelMixin) -> int:
    """Number of weights in the largest block; a block is gathered as one."""
    return max(sum(parameter.numel() for parameter in block.parameters()) for block in _blocks(network))


@torch.no_grad()
def leave_whole(sharded: torch.nn.Module, network: torch.nn.Module) -> None:
    """Copies the parameters of ``sharded`` into ``network``, its original; every process must call it."""
    for own, divided in zip(network.parameters(), sharded.parameters(), strict=True):
        own.copy_(to_full(divided, divided))


def to_local(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor: a view of its part, or all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def to_full(own: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The whole tensor of which ``own`` is this process's part, divided like ``like``; every process must call it."""
    if not isinstance(like, DTensor):
        return own
    divided = (
        own
        if isinstance(own, DTensor)
        else DTensor.from_local(own, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())
    )
    # With uneven parts the gathered tensor is a view of a padded storage, which safetensors refuses.
    gathered: torch.Tensor = divided.full_tensor().clone()
    return gathered


def local_values(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This process's part of whole ``values``, divided like ``like``."""
    return to_local(_divided(values, like))


def _divided(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if not isinstance(like, DTensor):
        return values
    # Every process has all values: nothing is sent.
    return distribute_tensor(values.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _blocks(network: ModelMixin) -> Iterator[torch.nn.Module]:
    """Child modules with parameters, those in module lists one by one; each is gathered as one.

    Of a network that is called with prompts they are those of the stock network in it, its only child.
    """
    for child in bare(network).children():
        for block in child if isinstance(child, torch.nn.ModuleList) else (child,):
            if any(True for _ in block.parameters()):
                yield block
