"""Where a model comes from, as others can find it: its data set and its teacher on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.graph import Config
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class Sources:
    """What the card names as its origins.

    Attributes:
        base_model: Id of the teacher on the hub; None if it is not there.
        datasets: Ids of data sets on the hub.
        dataset_type: The first of these, or the kind of source.
        data_in_words: Names the data; local paths are nobody else's business and are left out.
        autoencoder: Id on the hub of an autoencoder that was brought along by itself; None if it is not there.
    """

    base_model: str | None
    datasets: tuple[str, ...]
    dataset_type: str
    data_in_words: str
    autoencoder: str | None = None


def sources_of(config: Config, base_model: str | None, datasets: Sequence[str]) -> Sources:
    """The origins that the configuration names, and those that are given.

    Args:
        config: Of the run.
        base_model: Id of the teacher on the hub, where the configuration names a folder or trains it.
        datasets: Ids of the data set on the hub, where the configuration names local images.

    Raises:
        StraightflowError: If one is no id, or is not what the configuration names.
    """
    for option, given in (("--base-model", base_model), *(("--dataset", name) for name in datasets)):
        if given is not None:
            require_repository_id(given, option)
    pretrained, data = config.teacher.pretrained, config.data
    on_hub = pretrained if pretrained is not None and not Path(pretrained).exists() else None
    if on_hub is not None and base_model not in (None, on_hub):
        raise StraightflowError(
            expected=f"the teacher of the run, {on_hub}, as base model",
            found=f"--base-model {base_model}",
            mend="leave --base-model out",
        )
    named = (data.location,) if data.source == "hub" and data.location is not None else ()
    found = tuple(dict.fromkeys((*named, *datasets)))
    size = f"{data.resolution}×{data.resolution}, {'grey' if data.channels == 1 else 'RGB'}"
    what = {"digits": "digits of scikit-learn"}.get(data.source, ", ".join(found) or f"images ({data.source})")
    return Sources(
        base_model or on_hub,
        found,
        found[0] if found else data.source,
        f"{what}, {size}",
        _autoencoder_on_hub(config.autoencoder),
    )


def _autoencoder_on_hub(settings: AutoencoderConfig | None) -> str | None:
    if settings is None or not settings.is_brought_along or Path(settings.source).exists():
        return None
    return settings.source


def require_repository_id(name: str, option: str) -> None:
    """Raises StraightflowError, which names ``option``, unless ``name`` has the form of a repository's id."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise StraightflowError(
            expected=f"the id of a repository on the hub for {option}, owner/name",
            found=repr(name),
            mend=f"correct {option}",
        ) from error
