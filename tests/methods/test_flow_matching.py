from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.small_training import Pairs, training_config
from helpers.velocity_field import Field

from pipeline.config.flow import FlowMatchingConfig, LossConfig, TimestepsConfig
from pipeline.flow.noise import step_generator
from pipeline.flow.optimal_transport import pair_by_optimal_transport
from pipeline.methods.flow_matching import FlowMatching, build_flow_matching
from pipeline.toys.gaussian_mixture import GaussianMixture
from pipeline.training.samples import StepBatches


def flow(coupling: str, **settings: Any) -> FlowMatching:
    common = {"loss": LossConfig(name="l2"), "timesteps": TimestepsConfig(name="uniform")}
    return build_flow_matching(FlowMatchingConfig(**common, coupling=coupling, **settings), torch.device("cpu"))


def test_flow_matching_pairs_images_with_fresh_noise_and_ot_only_reorders_it() -> None:
    x_1 = torch.randn(8, 1, 2, 2, generator=step_generator(0, 0))
    independent, transported = (
        method.arrange({"x_1": x_1} | method.draw(x_1, step_generator(3, 1)))
        for method in (flow("independent"), flow("minibatch_ot"))
    )
    assert torch.equal(independent["t"], transported["t"])
    assert torch.equal(transported["x_0"], pair_by_optimal_transport(independent["x_0"], x_1))
    assert not torch.equal(independent["x_0"], flow("independent").draw(x_1, step_generator(3, 2))["x_0"])


@pytest.mark.parametrize("size", [1, 3, 4, 5, 128])
def test_processes_divide_the_pairing_and_find_the_pairs_that_one_finds(size: int) -> None:
    """Groups of 3 and 5 rows cross the shares of 4 processes; the last group of a batch may be smaller."""
    method, config = flow("minibatch_ot", ot_batch_size=size), training_config(batch_size=16)
    whole = StepBatches(Pairs(), method, config, 0, 1)[5]
    for ranks in (2, 4):
        shares = [StepBatches(Pairs(), method, config, rank, ranks)[5] for rank in range(ranks)]
        for name, values in whole.items():
            assert torch.equal(torch.cat([share[name] for share in shares]), values), name
    drawn = StepBatches(Pairs(), flow("independent"), config, 0, 1)[5]
    groups = zip(drawn["x_0"].split(size), drawn["x_1"].split(size), strict=True)
    assert torch.equal(whole["x_0"], torch.cat([pair_by_optimal_transport(*group) for group in groups]))


def test_a_process_reads_no_more_images_than_its_groups_have(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    load = Pairs.load
    monkeypatch.setattr(Pairs, "load", lambda self, indices: (read.append(len(indices)), load(self, indices))[1])
    method = flow("minibatch_ot", ot_batch_size=4)
    for rank in range(2):
        StepBatches(Pairs(), method, training_config(batch_size=16), rank, 2)[0]
    StepBatches(Pairs(), flow("minibatch_ot", ot_batch_size=5), training_config(batch_size=16), 1, 4)[0]
    # Rows 4 to 7 are of the groups 0 to 4 and 5 to 9.
    assert read == [8, 8, 10]


def test_the_known_velocity_of_a_mixture_is_where_the_gradient_vanishes() -> None:
    """At v = (1 + scale) E[x_1 - x_0 | x_t] + shift the loss has no slope where both are 0, and has away from there."""
    count = 40_000
    means = torch.tensor([[-2.0, 1.0], [1.5, 0.5]])
    mixture = GaussianMixture(torch.tensor([0.3, 0.7]), means, torch.tensor([0.5, 0.8]))
    x_1 = mixture.sample(count, torch.Generator().manual_seed(0))
    objective = flow("independent")
    batch = {"x_1": x_1, **objective.draw(x_1, step_generator(0, 0))}
    for scale, shift, at_optimum in ((0.0, 0.0, True), (0.1, 0.0, False), (0.0, 0.1, False)):
        gradients = []
        for rows in torch.arange(count).chunk(20):
            network = Field(
                lambda field, x, t, _: (1 + field.scale) * mixture.velocity(x, t[:, 0]) + field.shift,
                scale=scale,
                shift=shift,
            )
            objective.loss(network, {name: values[rows] for name, values in batch.items()}).mean().backward()
            gradients.append(torch.stack([network.scale.grad, network.shift.grad]))
        blocks = torch.stack(gradients)
        standard_error = blocks.std(dim=0) / len(blocks) ** 0.5
        assert (blocks.mean(dim=0).abs() < 4 * standard_error).all() == at_optimum
