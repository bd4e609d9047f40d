"""Fingerprints: SHA-256 of contents, so that cached work is reused only with the inputs it was made from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.system.whole_files import require_file


def fingerprint_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    require_file(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint_folder(path: Path) -> str:
    """SHA-256 over the relative names and bytes of all files below ``path``."""
    files = sorted(item for item in path.rglob("*") if item.is_file())
    listing = [(item.relative_to(path).as_posix(), fingerprint_file(item)) for item in files]
    return fingerprint_json(listing)


def fingerprint_json(content: Any) -> str:
    """SHA-256 of ``content`` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
