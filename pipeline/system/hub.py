"""Downloads from the Hugging Face hub: an answer or an error within seconds; no code from it is ever run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.safetensors_header import TensorEntry

Kind = Literal["model", "dataset"]

TIMEOUT_SECONDS = 5.0
_MODEL_FILES = ["*.json", "*.safetensors", "*.bin", "tokenizer*/*"]


def hub_revision(kind: Kind, name: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """Commit of the newest version of a model or data set on the hub.

    Raises:
        StraightflowError: If the hub has no such repository, or does not answer in time.
    """
    api = HfApi()
    describe = api.model_info if kind == "model" else api.dataset_info
    try:
        return str(describe(name, timeout=timeout_seconds).sha)
    except RepositoryNotFoundError as error:
        raise StraightflowError(
            expected=f"a {kind} {name!r} on the hub, open to everyone or to the token logged in with",
            found="no such repository, or no access to it",
            mend="correct the id, or log in with `hf auth login`",
        ) from error
    except Exception as error:  # transport errors are those of whatever HTTP client the hub's library uses
        raise StraightflowError(
            expected=f"an answer from {api.endpoint} about the {kind} {name!r}",
            found=f"{type(error).__name__}: {one_line(error)}",
            mend="connect to the network, correct the id, or name a local copy",
        ) from error


def cached_model(name: str, revision: str | None = None) -> Path | None:
    """A model in the local cache, of a commit or of the newest one there; None if there is none."""
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=_MODEL_FILES))
    except (LocalEntryNotFoundError, ValueError):
        return None


def download_model(name: str, revision: str, files: Sequence[str] = _MODEL_FILES) -> Path:
    """Folder with the configuration and weights of a commit of a model, from the hub or from an earlier download.

    Args:
        name: Its hub id.
        revision: The commit.
        files: Patterns of the names of files that are downloaded.

    Raises:
        StraightflowError: If neither has it whole.
    """
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(files)))
    except Exception as error:  # as above
        raise _broken_download(name, error) from error


def download_json(name: str, candidates: tuple[str, ...], revision: str) -> Path:
    """The first of ``candidates`` that a model on the hub has, downloaded.

    Raises:
        StraightflowError: If it has none of them, or the download breaks.
    """
    try:
        present = set(HfApi().list_repo_files(name, revision=revision))
        for candidate in candidates:
            if candidate in present:
                return Path(hf_hub_download(name, candidate, revision=revision, etag_timeout=TIMEOUT_SECONDS))
    except Exception as error:  # as above
        raise _broken_download(name, error) from error
    raise StraightflowError(
        expected=f"one of {', '.join(candidates)} in the model {name!r}",
        found="none of them",
        mend="name a model saved by diffusers' DDPMPipeline",
    )


def list_files(name: str, revision: str) -> list[str]:
    """Paths of all files of a commit of a model.

    Raises:
        StraightflowError: If the hub does not say.
    """
    try:
        return HfApi().list_repo_files(name, revision=revision)
    except Exception as error:  # as above
        raise _broken_download(name, error) from error


def read_tensors(name: str, revision: str, file: str) -> dict[str, TensorEntry]:
    """The entries of a safetensors file's header, by tensor, without the file.

    Raises:
        StraightflowError: If the hub does not answer, or the file has no such header.
    """
    try:
        found = HfApi().parse_safetensors_file_metadata(name, file, revision=revision, timeout=TIMEOUT_SECONDS)
        return {
            key: TensorEntry(info.dtype, tuple(info.shape), (info.data_offsets[0], info.data_offsets[1]))
            for key, info in found.tensors.items()
        }
    except Exception as error:  # as above
        raise _broken_download(name, error) from error


def download_file(name: str, file: str, revision: str) -> Path:
    """A file of a model at a commit of the hub, from there or from an earlier download.

    Raises:
        StraightflowError: If neither has it, or the download breaks.
    """
    try:
        return Path(hf_hub_download(name, file, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):  # the second for what is no id
        hub_revision("model", name)  # asks once, where a download asks again and again
    try:
        return Path(hf_hub_download(name, file, revision=revision, etag_timeout=TIMEOUT_SECONDS))
    except Exception as error:  # as above
        raise _broken_download(name, error) from error


def _broken_download(name: str, error: Exception) -> StraightflowError:
    return StraightflowError(
        expected=f"the model {name!r} from the hub",
        found=f"{type(error).__name__}: {one_line(error)}",
        mend="try again; what was downloaded so far is kept",
    )
