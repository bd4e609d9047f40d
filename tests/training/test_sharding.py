"""Sharded training of every kind of network, and what is gathered of it at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.project_folders import launch
from helpers.sharding_worker import NETWORKS, work
from safetensors.torch import load_file

from pipeline.models.kinds import KINDS
from pipeline.training.sharding import largest_block

# Softmax undoes what these add to all scores of a query, so their gradients are rounding alone, which Adam scales up.
OF_ROUNDING = ("to_k.bias", "add_k_proj.bias")


@pytest.mark.usefixtures("one_thread")
def test_two_processes_train_every_kind_of_network_as_one_does(runtime, tmp_path: Path) -> None:
    assert {kind.class_name for kind in KINDS} | {"TrainableAutoencoder"} == set(NETWORKS)
    work(tmp_path, runtime)
    launch("sharding_worker.py", tmp_path, 2)
    assert len(list(tmp_path.glob("finished-sharded-2-*"))) == 2
    for kind, build in NETWORKS.items():
        start = build().state_dict()
        one, two = (load_file(tmp_path / f"{kind}-{count}.safetensors") for count in ("1", "sharded-2"))
        assert one.keys() == two.keys() == start.keys() | {"losses"}
        assert torch.allclose(one.pop("losses"), two.pop("losses"), rtol=1e-5), kind
        for name in [name for name in one if not name.endswith(OF_ROUNDING)]:
            moved = (one[name] - start[name]).norm()
            assert (one[name] - two[name]).norm() <= 1e-3 * moved, (kind, name)
        assert any((one[name] != start[name]).any() for name in one), kind


@pytest.mark.parametrize("kind", ["UNet2DConditionModel", "SD3Transformer2DModel"])
def test_a_network_called_with_prompts_is_gathered_in_the_blocks_of_the_one_in_it(kind: str) -> None:
    network = NETWORKS[kind]()
    largest = largest_block(network)
    assert largest == largest_block(network.network)
    assert largest < sum(values.numel() for values in network.parameters())
