"""Files read whole. Pipes and devices, which block or have no end, are refused as the system refuses a folder."""

from __future__ import annotations

import errno
import json
import stat
from pathlib import Path


def require_file(path: Path) -> None:
    """Raises OSError if ``path`` is missing, or is a pipe, a socket or a device; opening a folder raises by itself."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "a pipe, a socket or a device, and no file", str(path))


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: If it cannot be read, or is no file.
    """
    require_file(path)
    return path.read_bytes()


def read_text(path: Path, errors: str = "strict") -> str:
    """The content of a file in UTF-8, with line ends as ``\\n``; ``errors`` as :meth:`bytes.decode` takes it.

    Raises:
        OSError: If it cannot be read, or is no file.
        UnicodeDecodeError: If it is not UTF-8.
    """
    require_file(path)
    return path.read_text("utf-8", errors=errors)


def read_json(path: Path) -> object:
    """The value in a file of JSON.

    Raises:
        OSError: If it cannot be read, or is no file.
        ValueError: If it is not JSON in UTF-8, see :func:`parse_json`.
    """
    return parse_json(read_text(path))


def parse_json(text: str | bytes) -> object:
    """The value that JSON stands for.

    Raises:
        ValueError: If it is not JSON, names one key of an object twice, of which readers take one or the other, or is
            nested so deeply that Python cannot read it.
    """
    try:
        content: object = json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("lists or objects nested too deeply") from error
    return content


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} twice in one object")
    return content
