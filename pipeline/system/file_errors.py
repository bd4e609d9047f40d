"""What the system refuses about a file, a folder or a disk, told as one message with the path and what to do."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from pipeline.system.errors import StraightflowError, causes, one_line

_ROOM = "free space or inodes on that disk (`df -h`, `df -i`), or put the folder on another one"
_PERMISSION = "give this user permission there (`ls -ld` shows whose it is), or name another place"
_MENDS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: "free space within the quota of this user, or put the folder on another disk",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), or use a file system that takes larger ones",
    errno.EROFS: "mount it so that it can be written to, or put the folder on another disk",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EMFILE: "raise the limit on open files (`ulimit -n`), or use fewer workers",
    errno.ENFILE: "close programs that hold files open; the whole machine has too many",
    errno.ENAMETOOLONG: "use shorter names, or a project folder with a shorter path",
    errno.ENOTDIR: "a file is where a folder is needed: move it elsewhere, or name another place",
    errno.EISDIR: "a folder is where a file is needed: move it elsewhere, or name another place",
    errno.ENOTEMPTY: "move what is in that folder elsewhere, or name another place",
    errno.EEXIST: "a file may be where a folder is needed: move what is there elsewhere, or name another place",
    errno.ENOENT: "correct the name; what a stage writes is made by `dvc repro`",
    errno.ELOOP: "correct the symbolic links, which lead in a circle",
    errno.EXDEV: "keep the two on one file system",
    errno.EIO: "check the disk or the network file system (`dmesg`); it reports an error of its own",
    errno.ESTALE: "start again; the network file system lost the file",
    errno.ENODEV: "check that the disk is mounted",
    errno.ENXIO: "check that the disk is mounted",
    errno.ENOMEM: "free memory, or lower batch_size",
    errno.ETXTBSY: "end the program that uses the file",
    errno.EINVAL: "put a file there, or name another place",
    errno.EBUSY: "end what uses it; a folder that is a mount point cannot be replaced, one below it can",
}
_DEFAULT = "look at the path and at the disk that it is on, then start again"

# safetensors and pyarrow pass the number of the system's error on in words, torch its description alone.
_NUMBER = re.compile(r"\((?:os error|code:?)\s*(\d+)\)|\[errno (\d+)\]", re.IGNORECASE)
_TORCH_WRITING = ("StreamWriter", "inline_container", "iostream")
_PATH = re.compile(r"(/[^\s'\",:]+)")


def file_error(error: BaseException) -> StraightflowError | None:
    """The message for ``error``, if the system refused something about a file; None if it is of another kind.

    Libraries wrap such errors in their own: those that it was raised from are looked at as well.
    """
    for cause in causes(error):
        found = _number(cause)
        if found is not None:
            return _told(cause, found)
        if isinstance(cause, RuntimeError) and any(part in str(cause) for part in _TORCH_WRITING):
            return StraightflowError(expected="to write a file", found=one_line(cause), mend=_ROOM)
    return None


def advice(error: OSError) -> str:
    """What to do about an error of the system."""
    return _MENDS.get(error.errno or 0, _DEFAULT)


def is_of_a_full_or_closed_disk(error: BaseException) -> bool:
    """Whether ``error`` comes of what cannot be written, and so says nothing about what was read."""
    refused = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE)
    return any(_number(cause) in refused for cause in causes(error))


def _number(error: BaseException) -> int | None:
    """The system's number of an error; 0 for one of its kind without a number."""
    if isinstance(error, OSError):
        return error.errno or _number_in_words(error) or 0
    # Its own errors are raised by safetensors for content as well, which carries no number.
    return _number_in_words(error) if type(error).__name__ == "SafetensorError" else None


def _number_in_words(error: BaseException) -> int | None:
    found = _NUMBER.search(str(error))
    return None if found is None else int(found[1] or found[2])


def _told(error: BaseException, number: int) -> StraightflowError:
    path = getattr(error, "filename", None)
    second = getattr(error, "filename2", None)
    named = [os.fsdecode(item) if isinstance(item, bytes) else str(item) for item in (path, second) if item is not None]
    if not named:
        in_words = _PATH.search(str(error))
        named = [in_words[1]] if in_words else []
    reason = getattr(error, "strerror", None) or (os.strerror(number) if number in errno.errorcode else one_line(error))
    return StraightflowError(
        expected=f"a file or folder that can be used at {_short(' and '.join(named)) or f'a path below {Path.cwd()}'}",
        found=reason,
        mend=_MENDS.get(number, _DEFAULT),
    )


def _short(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:120]}…{path[-60:]}"
