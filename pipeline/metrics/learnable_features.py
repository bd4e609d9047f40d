"""What students may learn of a network's features, kept apart from what measures them: the first features alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.data.sample_set import SampleSet
from pipeline.metrics.feature_networks import FeatureNetwork, NetworkDescription
from pipeline.metrics.frechet import FrechetReference
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.system.atomic import atomic_folder, write_json
from pipeline.system.blocks import batches_of
from pipeline.system.device import double_device
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.replacing import holding_only
from pipeline.system.whole_files import read_json, require_file

DESCRIPTION = "network.json"
WEIGHTS, MOMENTS = "weights.safetensors", "moments.safetensors"
_BATCH = 500
_MEND = "run `dvc repro classifier`, with features.name: auto, classifier or rotation"


@dataclass(frozen=True)
class LearnableFeatures:
    """Features with a gradient, and their Fréchet distance to the training images'.

    Attributes:
        network: Frozen, in evaluation mode.
        reference: Of the training images.
    """

    network: FeatureNetwork
    reference: FrechetReference

    @property
    def num_features(self) -> int:
        """Length of the vectors of features."""
        return self.reference.moments.num_features

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, num_features) of images (batch, C, H, W) in [-1, 1], which are not rounded to 8 bits."""
        return self.network.features(images)

    def distance(self, mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
        """As :meth:`pipeline.metrics.frechet.FrechetReference.differentiable_distance`."""
        return self.reference.differentiable_distance(mean, covariance)


def save_learnable_features(
    network: FeatureNetwork, description: NetworkDescription, images: SampleSet, folder: Path
) -> None:
    """Saves a network, and the moments of its features of the training ``images``, in a folder of their own."""
    moments = _moments_of(network.eval(), images)
    arrays = {"count": np.array(moments.count), "mean": moments.mean, "scatter": moments.scatter}
    with atomic_folder(folder, ours=holding_only("*.json", "*.safetensors")) as temporary:
        write_json(temporary / DESCRIPTION, asdict(description))
        save_file(network.state_dict(), temporary / WEIGHTS)
        save_file({name: torch.from_numpy(values) for name, values in arrays.items()}, temporary / MOMENTS)


def open_learnable_features(folder: Path, shape: tuple[int, ...], device: torch.device) -> LearnableFeatures:
    """Opens what :func:`save_learnable_features` saved.

    Args:
        folder: Where.
        shape: (channels, height, width) of the images that will be compared.
        device: Where it runs; distances are computed on the CPU where it has no float64.

    Raises:
        StraightflowError: If there is none, it was damaged, or it is of other images.
    """
    try:
        description = TypeAdapter(NetworkDescription).validate_python(read_json(folder / DESCRIPTION))
        if description.shape != shape:
            raise ValueError(f"a network of {'×'.join(map(str, description.shape))} images")
        for name in (WEIGHTS, MOMENTS):
            require_file(folder / name)
        network = description.build()
        network.load_state_dict(load_file(folder / WEIGHTS))
        moments = load_file(folder / MOMENTS)
        found = Moments(int(moments["count"]), moments["mean"].numpy(), moments["scatter"].numpy())
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise StraightflowError(
            expected=f"features of {'×'.join(map(str, shape))} images to learn from in {folder}",
            found=one_line(error),
            mend=_MEND,
        ) from error
    frozen = network.to(device).eval().requires_grad_(False)
    return LearnableFeatures(frozen, FrechetReference(found, double_device(device)))


@torch.inference_mode()
def _moments_of(network: FeatureNetwork, images: SampleSet) -> Moments:
    batches = (images.load(np.array(rows))["x_1"] for rows in batches_of(range(len(images)), _BATCH))
    return merge_moments(moments_of(network.features(x_1).numpy()) for x_1 in batches)
