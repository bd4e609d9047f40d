"""What a run needs of the machine and the network besides its data, checked before anything is trained."""

from __future__ import annotations

import shlex
import shutil

from pipeline.config.features import NUM_INCEPTION_FEATURES, FeaturesConfig
from pipeline.config.flow import require_lpips
from pipeline.config.graph import Config
from pipeline.config.watch import require_tracker
from pipeline.system.errors import StraightflowError


def require_surroundings(config: Config) -> None:
    """Checks that the commands, packages and weights named in the settings are available.

    Raises:
        StraightflowError: If one is not.
    """
    for key, command in (("launch.command", config.launch.command), ("launch.python", config.launch.python)):
        _require_program(key, command)
    for tracker in config.watch.trackers:
        require_tracker(tracker)
    if any(loss.name == "lpips_huber" for loss in config.losses.values()):
        require_lpips()
        from pipeline.flow.losses import require_lpips_weights  # with torch

        require_lpips_weights()
    _require_published_networks(config.features)


def _require_published_networks(features: FeaturesConfig) -> None:
    if features.reference_file is not None:
        from pipeline.metrics.statistics_file import read_statistics  # with torch and SciPy, which take seconds

        read_statistics(features.reference_file, NUM_INCEPTION_FEATURES)
    # Imported here, with torch and torchvision, which take seconds.
    if "inception" in features.names:
        from pipeline.metrics import inception

        inception.find_weights(features.inception)
    if "dinov2" in features.names:
        from pipeline.metrics import dinov2

        dinov2.find_weights(features.dinov2)


def require_networks_fit(config: Config) -> None:
    """Checks that the memory at hand holds a network that is trained here, and what training keeps beside it.

    On GPUs, and where processes divide it among themselves, this machine's memory holds the weights alone.

    Raises:
        StraightflowError: If it does not.
    """
    if config.teacher.pretrained is not None and not config.flows:
        return
    import torch  # takes seconds

    from pipeline.models.size import TRAINING_BYTES, WEIGHTS_BYTES, require_network_fits

    whole = not torch.cuda.is_available() and not config.launch.sharded
    require_network_fits(config.teacher.network, config.sample_shape, TRAINING_BYTES if whole else WEIGHTS_BYTES)


def _require_program(key: str, command: str) -> None:
    """Checks that a command's first word after any assignments is a program; the shell reports the rest."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise StraightflowError(expected=f"a shell command in {key}", found=str(error), mend="correct it") from error
    program = next((word for word in words if "=" not in word), "")
    if shutil.which(program) is None:
        raise StraightflowError(
            expected=f"a program to start stages with, as {key} names it",
            found=f"{program or command!r}, which is not on the PATH",
            mend=f"correct {key}, or call this in the environment that has it",
        )
