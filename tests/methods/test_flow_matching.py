from __future__ import annotations

import torch
from helpers.velocity_field import Field

from pipeline.config.flow import FlowMatchingConfig, LossConfig, TimestepsConfig
from pipeline.flow.noise import step_generator
from pipeline.flow.optimal_transport import pair_by_optimal_transport
from pipeline.methods.flow_matching import FlowMatching, build_flow_matching
from pipeline.toys.gaussian_mixture import GaussianMixture


def flow(coupling: str) -> FlowMatching:
    return build_flow_matching(
        FlowMatchingConfig(loss=LossConfig(name="l2"), timesteps=TimestepsConfig(name="uniform"), coupling=coupling),
        torch.device("cpu"),
    )


def test_flow_matching_pairs_images_with_fresh_noise_and_ot_only_reorders_it() -> None:
    x_1 = torch.randn(8, 1, 2, 2, generator=step_generator(0, 0))
    independent = flow("independent").draw(x_1, step_generator(3, 1))
    transported = flow("minibatch_ot").draw(x_1, step_generator(3, 1))
    assert torch.equal(independent["t"], transported["t"])
    assert torch.equal(transported["x_0"], pair_by_optimal_transport(independent["x_0"], x_1))
    assert not torch.equal(independent["x_0"], flow("independent").draw(x_1, step_generator(3, 2))["x_0"])
    assert (flow("independent").needs_images, flow("minibatch_ot").needs_images) == (False, True)


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
