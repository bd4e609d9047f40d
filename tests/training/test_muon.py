from __future__ import annotations

import math

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, VQModel
from helpers.small_unet import small_unet
from torch.utils._python_dispatch import TorchDispatchMode

import pipeline.training.muon as muon
from pipeline.models.live_memory import live_bytes
from pipeline.training.muon import Muon, hidden_weights, orthogonalized, step_bytes


def stepped(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], gradients: torch.Tensor) -> None:
    for gradient in gradients:
        for weight in weights:
            weight.grad = gradient.reshape(weight.shape).clone()
        optimizer.step()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_steps_of_a_linear_weight_are_those_of_torch(shape: tuple[int, int]) -> None:
    start, gradients = random(*shape), random(5, *shape, seed=1)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    stepped(Muon([ours], lr=0.01, weight_decay=0.1), [ours], gradients)
    stock = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    stepped(stock, [theirs], gradients)
    moved = float((theirs.detach() - start).abs().max())
    # torch's iterates in bfloat16, with eight bits.
    assert moved > 0.02
    torch.testing.assert_close(ours, theirs, rtol=0, atol=moved * 2**-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_takes_the_steps_of_its_matrix(memory_format: torch.memory_format) -> None:
    start, gradients = random(6, 4, 3, 3), random(3, 6, 36, seed=1)
    matrix = torch.nn.Parameter(start.flatten(1).clone())
    weight = torch.nn.Parameter(start.clone(memory_format=memory_format))
    for parameter in (matrix, weight):
        stepped(Muon([parameter], lr=0.01, weight_decay=0.1), [parameter], gradients)
    torch.testing.assert_close(weight.flatten(1), matrix)
    assert weight.is_contiguous(memory_format=memory_format)


def test_matrices_with_as_many_rows_take_the_steps_that_they_take_alone() -> None:
    gradients = random(3, 5, 8, seed=1)
    together, alone = (
        [torch.nn.Parameter(random(*shape, seed=2)) for shape in ((5, 8), (8, 5), (5, 2, 2, 2))] for _ in range(2)
    )
    stepped(Muon(together, lr=0.01, weight_decay=0.0), together, gradients)
    for weight in alone:
        stepped(Muon([weight], lr=0.01, weight_decay=0.0), [weight], gradients)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_a_first_step_is_the_orthogonal_part_of_the_gradient_at_the_size_of_adams() -> None:
    left, _ = torch.linalg.qr(random(6, 6))
    right, _ = torch.linalg.qr(random(10, 6, seed=1))
    gradient = left @ torch.diag(torch.tensor([5.0, 4.0, 3.0, 2.0, 1.5, 1.0])) @ right.T
    weight = torch.nn.Parameter(torch.zeros(6, 10))
    stepped(Muon([weight], lr=0.01, weight_decay=0.0), [weight], gradient[None])
    taken = -weight.detach() / (0.01 * 0.2 * math.sqrt(10))
    # left @ right.T has singular values of 1; five iterations bring them to between 0.7 and 1.2 (Jordan et al. 2024).
    along = left.T @ taken @ right
    assert torch.all((along.diagonal() > 0.65) & (along.diagonal() < 1.25))
    assert float((along - torch.diag(along.diagonal())).abs().max()) < 1e-4


def test_singular_values_come_close_to_one_and_nothing_stays_nothing() -> None:
    matrices = [random(7, 30), random(30, 7), random(12, 12), torch.zeros(7, 9)]
    *found, nothing = orthogonalized(matrices)
    assert [matrix.shape for matrix in found] == [matrix.shape for matrix in matrices[:-1]]
    # Of a square random matrix the smallest singular value is too near 0 to come up in five iterations.
    for matrix in found[:2]:
        values = torch.linalg.svdvals(matrix)
        assert 0.65 < float(values.min()) <= float(values.max()) < 1.25
    assert float(torch.linalg.svdvals(found[2]).max()) < 1.25
    assert torch.equal(nothing, torch.zeros(7, 9))


@pytest.mark.parametrize("shape", [(7, 30), (12, 12)])
def test_iterations_on_grams_are_those_on_the_matrix(shape: tuple[int, int]) -> None:
    x = random(*shape).double()
    (found,) = orthogonalized([x.float()])
    x = x / x.norm()
    for _ in range(5):  # the quintic of Jordan et al. 2024
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    torch.testing.assert_close(found.double(), x, rtol=0, atol=1e-4)


def test_a_weight_without_a_gradient_stays_and_keeps_no_momentum() -> None:
    weights = [torch.nn.Parameter(random(3, 4)) for _ in range(2)]
    optimizer = Muon(weights, lr=0.1, weight_decay=0.1)
    weights[0].grad = random(3, 4, seed=1)
    optimizer.step()
    assert torch.equal(weights[1], random(3, 4))
    assert not torch.equal(weights[0], random(3, 4))
    assert weights[1] not in optimizer.state


def test_hidden_weights_are_matrices_inside_the_network() -> None:
    network = small_unet(num_class_embeds=3)
    chosen = set(map(id, hidden_weights(network)))
    names = {name for name, parameter in network.named_parameters() if id(parameter) in chosen}
    assert {"time_embedding.linear_1.weight", "down_blocks.0.resnets.0.conv1.weight"} <= names
    # Those that meet the sample, and a table of vectors, are none (Jordan et al. 2024).
    assert not names & {"conv_in.weight", "conv_out.weight", "class_embedding.weight"}
    assert all(parameter.ndim >= 2 for name, parameter in network.named_parameters() if name in names)


AUTOENCODERS = {
    AutoencoderKL: {"block_out_channels": (8,), "norm_num_groups": 4},
    VQModel: {"block_out_channels": (8,), "norm_num_groups": 4, "num_vq_embeddings": 8},
    AutoencoderTiny: {
        "encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8),
        "num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1),
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", AUTOENCODERS)
def test_of_an_autoencoder_the_layers_that_see_images_are_not_hidden(kind: type[torch.nn.Module]) -> None:
    autoencoder = kind(**AUTOENCODERS[kind])
    wrapped = torch.nn.ModuleDict({"autoencoder": autoencoder})
    for network in (autoencoder, wrapped):
        hidden = set(map(id, hidden_weights(network)))
        left = [
            parameter
            for name, parameter in network.named_parameters()
            if parameter.ndim == 4 and id(parameter) not in hidden and "embedding" not in name
        ]
        # Three channels in, three out.
        assert [(min(item.shape[:2]), item.shape.index(3)) for item in left] == [(3, 1), (3, 0)]


def test_products_are_whole_where_training_allows_shorter_ones() -> None:
    seen: set[str] = set()

    class Precisions(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "mm" in func.overloadpacket.__name__:
                seen.add(torch.get_float32_matmul_precision())
            return func(*args, **(kwargs or {}))

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with Precisions():
            orthogonalized([random(3, 4)])
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == {"highest"}


def test_weights_of_one_shape_take_no_more_operations_than_two_of_them() -> None:
    class Operations(TorchDispatchMode):
        names: list[str]

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if not func.is_view:
                self.names.append(str(func))
            return func(*args, **(kwargs or {}))

    def of_step(count: int) -> list[str]:
        weights = [torch.nn.Parameter(random(4, 6, seed=seed)) for seed in range(count)]
        for weight in weights:
            weight.grad = weight.detach().clone()
        optimizer = Muon(weights, lr=0.01, weight_decay=0.1)
        optimizer.step()
        with Operations() as counted:
            counted.names = []
            optimizer.step()
        return counted.names

    assert of_step(20) == of_step(2)
    assert len(of_step(2)) < 60


def test_weights_taken_in_turns_take_the_same_steps_in_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = [(16, 32), (16, 4, 3, 3), (64, 16), (100, 100)]
    together, in_turns = ([torch.nn.Parameter(random(*shape)) for shape in shapes] for _ in range(2))
    for weight in (*together, *in_turns):
        weight.grad = random(*weight.shape, seed=1)

    def most_bytes(weights: list[torch.nn.Parameter]) -> int:
        optimizer = Muon(weights, lr=0.01, weight_decay=0.0)
        optimizer.step()  # from now on there are momenta
        return int(live_bytes(optimizer.step).max())

    whole = most_bytes(together)
    assert 0.4 * step_bytes(together) < whole <= 1.01 * step_bytes(together)  # and some numbers
    monkeypatch.setattr(muon, "_CHUNK", 1200)
    assert step_bytes(in_turns) == 8 * 4 * 100 * 100  # the largest, alone
    assert most_bytes(in_turns) <= min(1.01 * step_bytes(in_turns), whole)
    for one, other in zip(together, in_turns, strict=True):
        torch.testing.assert_close(one, other)
