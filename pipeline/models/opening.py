"""Opens a folder as the model that it is accepted as."""

from __future__ import annotations

from pathlib import Path

from diffusers import ModelMixin

from pipeline.config.pretrained import NOTHING_SPECIAL, Promised
from pipeline.models.accepted_autoencoder import read_autoencoder, require_promised_autoencoder
from pipeline.models.accepted_guide import GUIDE, require_guide
from pipeline.models.accepted_teacher import AcceptedModel, accept_model, require_fit
from pipeline.models.autoencoder import load_autoencoder
from pipeline.models.diffusers_layout import read_scheduler_config
from pipeline.models.networks import load_network, read_network_config
from pipeline.models.promised_prompts import with_prompts


def read_model(folder: Path, promised: Promised = NOTHING_SPECIAL) -> AcceptedModel:
    """What a folder on this machine holds, a teacher or a flow, told apart by the scheduler.

    Args:
        folder: Where it lies.
        promised: What the configuration says of a pretrained teacher, whose prompts may be still to be encoded.

    Raises:
        StraightflowError: If it is refused by :func:`pipeline.models.accepted_teacher.accept_model`.
    """
    location, config = read_network_config(folder)  # of a folder of something else this is what to say
    promised_config = with_prompts(config, promised, str(location))
    return accept_model(promised_config, read_scheduler_config(folder), str(location))


def open_model(folder: Path) -> tuple[AcceptedModel, ModelMixin]:
    """What :func:`read_model` says of a folder, and its network with its weights, on the CPU.

    Raises:
        StraightflowError: If it is refused, or :func:`pipeline.models.networks.load_network` cannot read it.
    """
    return read_model(folder), load_network(folder)


def open_teacher(folder: Path, shape: tuple[int, ...], name: str, promised: Promised) -> ModelMixin:
    """The network of a teacher brought along, as it is adopted: accepted, of the data's shape, its weights read.

    Args:
        folder: Where it lies.
        shape: Of the run's samples: of the data's, or of their latents.
        name: As the user called it, for errors.
        promised: What the configuration says of it.

    Raises:
        StraightflowError: If it may not be a teacher, does not fit or cannot be read.
    """
    require_promised_autoencoder(read_autoencoder(folder), name, promised)
    require_fit(read_model(folder, promised), shape, name, promised)
    load_autoencoder(folder)  # so that weights that cannot be read are told here
    return load_network(folder)


def open_guide(folder: Path, teacher: AcceptedModel) -> ModelMixin:
    """The network that guides the teacher saved in ``folder``, with its weights, on the CPU.

    Raises:
        StraightflowError: If it does not go with the teacher, or cannot be read.
    """
    accepted, network = open_model(folder / GUIDE)
    require_guide(accepted, teacher, str(folder / GUIDE))
    return network


def open_new_guide(folder: Path, teacher: AcceptedModel, name: str, promised: Promised) -> ModelMixin:
    """The network of a guide brought along, as it is adopted; it need not bring an autoencoder, as the teacher does.

    Args:
        folder: Where it lies.
        teacher: What the teacher was accepted as.
        name: As the user called it, for errors.
        promised: What the configuration says of the teacher.

    Raises:
        StraightflowError: If it does not go with the teacher, or cannot be read.
    """
    autoencoder = read_autoencoder(folder)
    if autoencoder is not None:
        require_promised_autoencoder(autoencoder, name, promised)
    require_guide(read_model(folder, promised), teacher, name)
    return load_network(folder)
