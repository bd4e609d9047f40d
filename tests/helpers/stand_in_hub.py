"""A hub of one model, at one commit, whose files are those of a folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from huggingface_hub.utils import SafetensorsFileMetadata
from huggingface_hub.utils._safetensors import TensorInfo

from pipeline.system import hub
from pipeline.system.safetensors_header import read_header

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class StandIn:
    """What the hub's client answers about the model in a folder, at one commit."""

    endpoint = "stand-in"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model_info(self, name: str, timeout: float) -> SimpleNamespace:
        assert (name, timeout) == ("owner/model", hub.TIMEOUT_SECONDS)
        return SimpleNamespace(sha=COMMIT)

    def list_repo_files(self, name: str, *, revision: str) -> list[str]:
        assert (name, revision) == ("owner/model", COMMIT)
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]

    def parse_safetensors_file_metadata(
        self, name: str, file: str, *, revision: str, timeout: float
    ) -> SafetensorsFileMetadata:
        assert (name, revision, timeout) == ("owner/model", COMMIT, hub.TIMEOUT_SECONDS)
        entries = read_header(self.folder / file)[0]
        tensors = {
            key: TensorInfo(entry.dtype, list(entry.shape), entry.data_offsets)  # type: ignore[arg-type]
            for key, entry in entries.items()
        }
        return SafetensorsFileMetadata(metadata={}, tensors=tensors)
