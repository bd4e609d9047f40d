"""Whether the teacher can be had, may be one and fits the images: told before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.data import DataConfig
from pipeline.config.network import UNetConfig
from pipeline.config.pretrained import Promised
from pipeline.config.teacher import TeacherConfig
from pipeline.models.accepted_autoencoder import (
    AcceptedAutoencoder,
    accept_part,
    autoencoder_class,
    autoencoder_part,
    read_autoencoder,
    require_promised_autoencoder,
)
from pipeline.models.accepted_guide import require_guide
from pipeline.models.accepted_teacher import AcceptedModel, accept_model, require_fit
from pipeline.models.diffusers_layout import read_json
from pipeline.models.hub_weights import require_autoencoder_on_hub, require_weights_on_hub
from pipeline.models.kinds import NETWORK_PARTS
from pipeline.models.kinds.unet import require_halvings
from pipeline.models.named_folder import is_here
from pipeline.models.opening import open_new_guide, open_teacher, read_model
from pipeline.models.pretrained_autoencoder import check_autoencoder
from pipeline.models.promised_prompts import with_prompts
from pipeline.models.trial_call import require_callable
from pipeline.models.unet import build_unet
from pipeline.models.weights_files import has_weights
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file, fingerprint_folder
from pipeline.system.hub import cached_model, download_json, hub_revision, list_files

CONFIGS = (*(f"{part}/config.json" for part in NETWORK_PARTS), "config.json")
SCHEDULER_CONFIGS = ("scheduler/scheduler_config.json", "scheduler_config.json")


def check_teacher(
    teacher: TeacherConfig,
    data: DataConfig,
    previous: dict[str, object],
    *,
    autoencoder: AutoencoderConfig | None = None,
    tell: Callable[[AcceptedModel], object] = lambda _: None,
) -> dict[str, object]:
    """Checks the configured teacher against the configured images.

    Args:
        teacher: The teacher.
        data: The images.
        previous: What this function returned before; where the hub does not answer now, it vouches for a
            teacher that was reached then.
        autoencoder: What the teacher's samples are latents of; None where they are images.
        tell: Is called with what a pretrained teacher is, for checks of the rest of the run; but not for one on a hub
            that does not answer, and of which nothing is in the cache.

    Returns:
        What the teacher stage depends on: name and fingerprint, both None for a teacher trained here. The fingerprint
        of a model on the hub is the commit that is read. With prompts, their file's as well; with a guide, the same of
        it.

    Raises:
        StraightflowError: If the teacher is missing, of another shape than the images or another process than
            configured, or refused by
            :func:`pipeline.models.opening.open_teacher`, as the teacher stage would refuse it; or if its guide does not
            go with it. Of a model on the hub the weights are judged by their names, types and shapes, where they are
            in safetensors.
    """
    if teacher.unet is None:  # an mlp takes points of any dimension
        return {"pretrained": None, "fingerprint": None}
    shape = data.image_shape if autoencoder is None else autoencoder.latent_shape(data.image_shape)
    if teacher.pretrained is None:
        record: dict[str, object] = {"pretrained": None, "fingerprint": None}
        record |= check_autoencoder(autoencoder, data.image_shape, previous)
        _require_trainable(teacher.unet, shape)
        return record
    name, promised = teacher.pretrained, teacher.promised.of_latents(autoencoder, data.channels)
    accepted: list[AcceptedModel] = []
    if is_here(name, "teacher.pretrained", "a teacher"):
        folder = Path(name)
        open_teacher(folder, shape, name, promised)
        accepted.append(read_model(folder, promised))
        fingerprint = fingerprint_folder(folder)
    else:
        fingerprint = _check_on_hub(name, promised, shape, previous, accepted.append)
    for model in accepted:
        tell(model)
    record = {"pretrained": name, "fingerprint": fingerprint} | _prompts_of(promised)
    return record if promised.guide is None else record | {"guide": _check_guide(promised, shape, previous, accepted)}


def _check_guide(
    promised: Promised, shape: tuple[int, ...], previous: dict[str, object], teachers: list[AcceptedModel]
) -> dict[str, object]:
    """Name and fingerprint of the configured guide, compared with the teacher where that is known."""
    name, before = str(promised.guide), previous.get("guide")
    if is_here(name, "teacher.guide", "a teacher"):
        for teacher in teachers:
            open_new_guide(Path(name), teacher, name, promised)
        return {"pretrained": name, "fingerprint": fingerprint_folder(Path(name))}
    guides: list[AcceptedModel] = []
    known = before if isinstance(before, dict) else {}
    revision = _check_on_hub(name, promised, shape, known, guides.append, is_guide=True)
    for teacher in teachers:
        for guide in guides:
            require_guide(guide, teacher, name)
    return {"pretrained": name, "fingerprint": revision}


def _prompts_of(promised: Promised) -> dict[str, object]:
    """Fingerprint of the configured prompts, as a part of what the teacher stage depends on."""
    return {} if promised.prompts is None else {"prompts": fingerprint_file(Path(promised.prompts))}


def _check_on_hub(
    name: str,
    promised: Promised,
    shape: tuple[int, ...],
    previous: dict[str, object],
    tell: Callable[[AcceptedModel], object],
    *,
    is_guide: bool = False,
) -> str:
    """The newest commit, judged without its weights; without network the one recorded before, or that in the cache.

    A guide need not bring an autoencoder, as its teacher does.
    """

    def require_autoencoder(found: AcceptedAutoencoder | None) -> None:
        if found is not None or not is_guide:
            require_promised_autoencoder(found, name, promised)

    try:
        revision = hub_revision("model", name)
    except StraightflowError:
        recorded = previous.get("fingerprint") if previous.get("pretrained") == name else None
        known = recorded if isinstance(recorded, str) else None
        cached = cached_model(name, known)
        if cached is not None and has_weights(cached):
            require_autoencoder(read_autoencoder(cached))
            accepted = read_model(cached, promised)
            require_fit(accepted, shape, name, promised)
            if not is_guide:
                open_teacher(cached, shape, name, promised)
            tell(accepted)
            return cached.name
        if known is None:
            raise
        if cached is not None:  # what an earlier check looked at
            require_autoencoder(read_autoencoder(cached))
            accepted = read_model(cached, promised)
            require_fit(accepted, shape, name, promised)
            tell(accepted)
        return known
    autoencoder = _autoencoder_on_hub(name, revision)
    require_autoencoder(None if autoencoder is None else autoencoder[0])
    config = download_json(name, CONFIGS, revision)
    network = read_json(config)
    accepted = accept_model(
        with_prompts(network, promised, name), read_json(download_json(name, SCHEDULER_CONFIGS, revision)), name
    )
    require_fit(accepted, shape, name, promised)
    require_weights_on_hub(name, revision, network, config.parent.name if config.parent.name in NETWORK_PARTS else "")
    if autoencoder is not None:
        accepted_autoencoder, part = autoencoder
        require_autoencoder_on_hub(name, revision, autoencoder_class(accepted_autoencoder.kind), part)
    tell(accepted)
    return revision


def _autoencoder_on_hub(name: str, revision: str) -> tuple[AcceptedAutoencoder, str] | None:
    """The autoencoder of a commit, judged by its configuration, and its subfolder; None where there is none."""
    part = autoencoder_part(frozenset(list_files(name, revision)).__contains__, name)
    if part is None:
        return None
    config = read_json(download_json(name, (f"{part}/config.json",), revision))
    return accept_part(config, part, f"{name}/{part}"), part


def _require_trainable(config: UNetConfig, shape: tuple[int, int, int]) -> None:
    """Checks that the configured UNet can be built for the images, and called."""
    require_halvings(shape[1:], len(config.block_out_channels), "teacher.unet.block_out_channels")
    require_callable(lambda: build_unet(config, shape), shape, None, "teacher.unet")
