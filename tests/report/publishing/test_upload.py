"""Against a stand-in that takes the calls of the hub's own client, and no network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError

from pipeline.report.publishing.upload import upload_folder
from pipeline.system.errors import StraightflowError

FILES = {"README.md": b"card", "unet/config.json": b"{}", "figures/samples.png": b"png"}
ANSWER: Any = SimpleNamespace(headers={}, request=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def hub(*present: str) -> Any:
    """A hub that knows the login ``me`` and holds these files; no repository without any."""
    api = create_autospec(HfApi, instance=True)
    api.endpoint = "https://hub.example"
    api.whoami.return_value = {"name": "me", "orgs": [{"name": "lab"}]}
    api.model_info.return_value = SimpleNamespace(
        sha="abc", siblings=[SimpleNamespace(rfilename=name) for name in present]
    )
    if not present:
        api.model_info.side_effect = RepositoryNotFoundError("no such repository", response=ANSWER)
    api.upload_folder.return_value = SimpleNamespace(commit_url="https://hub.example/me/model/commit/1")
    return api


def upload(api: Any, folder: Path, repository: str = "me/model", *, force: bool = False) -> tuple[str, list[str]]:
    told: list[str] = []

    def tell(text: str) -> None:
        assert not api.create_repo.called
        assert not api.upload_folder.called
        told.append(text)

    return upload_folder(api, folder, repository, force=force, tell=tell, message="Publish model"), told


@pytest.mark.parametrize("repository", ["me/model", "lab/model"])
def test_a_new_repository_is_made_and_filled_in_one_commit(folder: Path, repository: str) -> None:
    api = hub()
    address, told = upload(api, folder, repository)
    assert address == "https://hub.example/me/model/commit/1"
    api.create_repo.assert_called_once_with(repository, repo_type="model")
    sent = api.upload_folder.call_args.kwargs
    assert (sent["repo_id"], sent["folder_path"], sent["parent_commit"]) == (repository, folder, None)
    assert sent["delete_patterns"] is None
    (announcement,) = told
    assert f"to https://hub.example/{repository}, logged in as me" in announcement
    for name, content in FILES.items():
        assert f"{len(content)} bytes  {name}\n" in announcement + "\n"


def test_an_empty_repository_is_filled(folder: Path) -> None:
    api = hub(".gitattributes")
    upload(api, folder)
    assert not api.create_repo.called
    assert api.upload_folder.call_args.kwargs["parent_commit"] == "abc"


def test_files_there_are_replaced_by_force_alone(folder: Path) -> None:
    api = hub(".gitattributes", "README.md", "unet/old.safetensors", "notes.txt")
    with pytest.raises(StraightflowError, match="--force"):
        upload(api, folder)
    assert not api.upload_folder.called
    _, (announcement,) = upload(api, folder, force=True)
    assert "README.md (replaced)" in announcement
    assert "removed  unet/old.safetensors" in announcement
    assert "kept  notes.txt" in announcement
    sent = api.upload_folder.call_args.kwargs
    # The commit that was looked at: if somebody commits meanwhile, the hub refuses.
    assert (sent["delete_patterns"], sent["parent_commit"]) == (["unet/old.safetensors"], "abc")


def test_a_repository_of_others_is_refused_before_anything_is_asked_of_it(folder: Path) -> None:
    api = hub()
    with pytest.raises(StraightflowError, match=r"a repository of me or lab") as refused:
        upload(api, folder, "published/model")
    assert "--to ./published/model" in refused.value.mend
    assert not api.model_info.called


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        ("whoami", LocalTokenNotFoundError("no token"), "hf auth login"),
        ("upload_folder", HfHubHTTPError("403 Forbidden: this token may not write", response=ANSWER), "may not write"),
        ("model_info", ConnectionError("unreachable"), "ConnectionError: unreachable"),
    ],
)
def test_what_the_hub_refuses_is_one_message(folder: Path, call: str, error: Exception, named: str) -> None:
    api = hub("README.md")
    getattr(api, call).side_effect = error
    with pytest.raises(StraightflowError, match=named):
        upload(api, folder, force=True)
