"""Sends a published folder to the hub, with the login of whoever calls; nothing there is replaced unasked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError

from pipeline.system.errors import StraightflowError, one_line

MADE_BY_THE_HUB = (".gitattributes",)
READ_BY_LIBRARIES = (".json", ".safetensors", ".bin")


def upload_folder(
    api: HfApi, folder: Path, repository: str, *, force: bool, tell: Callable[[str], None], message: str
) -> str:
    """Uploads a folder as one commit and returns the commit's address.

    Args:
        api: The hub.
        folder: From :func:`pipeline.report.publishing.folder.write_folder`.
        repository: ``owner/name``; made if there is none.
        force: Whether files of an existing repository are replaced. Its history keeps them.
        tell: Is called with what will be sent, replaced and removed, before anything is.
        message: Of the commit.

    Raises:
        StraightflowError: If nobody is logged in, the repository holds files and ``force`` is not given, it changed
            meanwhile, or the hub refuses or does not answer.
    """
    sent = {item.relative_to(folder).as_posix(): item.stat().st_size for item in folder.rglob("*") if item.is_file()}
    try:
        owner = _require_owner(api.whoami(), repository)
        present, commit = _present(api, repository)
        _require_forced(present, repository, force=force)
        # Another file of weights would be read in place of those that are sent, or beside them.
        removed = sorted(name for name in present if name not in sent and name.endswith(READ_BY_LIBRARIES))
        tell(_announcement(sent, present, removed, f"{api.endpoint}/{repository}", owner))
        if commit is None:
            api.create_repo(repository, repo_type="model")
        done = api.upload_folder(
            repo_id=repository,
            repo_type="model",
            folder_path=folder,
            commit_message=message,
            parent_commit=commit,
            delete_patterns=removed or None,
        )
    except StraightflowError:
        raise
    except LocalTokenNotFoundError as error:
        raise StraightflowError(
            expected="a login of the hub that may write", found="none", mend="log in with `hf auth login`"
        ) from error
    except HfHubHTTPError as error:
        raise StraightflowError(
            expected=f"a repository {repository} on the hub that the login may write, unchanged meanwhile",
            found=one_line(error),
            mend="correct the id, or log in with `hf auth login` and a token that may write; then call again",
        ) from error
    except Exception as error:  # transport errors are those of whatever HTTP client the hub's library uses
        raise StraightflowError(
            expected=f"an answer from {api.endpoint} about {repository}",
            found=f"{type(error).__name__}: {one_line(error)}",
            mend="connect to the network and call again, or publish to a folder: --to ./FOLDER",
        ) from error
    return str(done.commit_url)


def _require_owner(login: Mapping[str, Any], repository: str) -> str:
    """Name of the login, once ``repository`` is its own or one of its organisations'."""
    name, organisations = str(login["name"]), [str(item["name"]) for item in login.get("orgs", ())]
    if repository.partition("/")[0] not in (name, *organisations):
        raise StraightflowError(
            expected=f"a repository of {' or '.join((name, *organisations))} on the hub",
            found=f"--to {repository}",
            mend=f"correct --to; for a folder write --to ./{repository}",
        )
    return name


def _present(api: HfApi, repository: str) -> tuple[frozenset[str], str | None]:
    """Files of the repository and its newest commit; none and None if there is no such repository."""
    try:
        info = api.model_info(repository)
    except RepositoryNotFoundError:
        return frozenset(), None
    names = frozenset(item.rfilename for item in info.siblings or ())
    return names - set(MADE_BY_THE_HUB), info.sha


def _require_forced(present: frozenset[str], repository: str, *, force: bool) -> None:
    if present and not force:
        names = sorted(present)
        raise StraightflowError(
            expected=f"no repository {repository} on the hub, an empty one, or --force to replace its files",
            found=f"one with {', '.join(names[:3])}{', …' if len(names) > 3 else ''}",
            mend="name another repository with --to, or call again with --force; its history keeps what it holds",
        )


def _announcement(sent: dict[str, int], present: frozenset[str], removed: list[str], address: str, owner: str) -> str:
    lines = [f"to {address}, logged in as {owner}:"]
    lines += [
        f"  {size:>13,} bytes  {name}{' (replaced)' if name in present else ''}" for name, size in sorted(sent.items())
    ]
    lines += [f"  {'removed':>19}  {name}" for name in removed]
    kept = sorted(present - sent.keys() - set(removed))
    lines += [f"  {'kept':>19}  {name}" for name in kept]
    return "\n".join(lines)
