"""A lock file that one process holds at a time, on all machines that share the file system."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.system.errors import StraightflowError

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def file_lock(path: Path, *, busy: StraightflowError) -> Iterator[None]:
    """Holds the lock file ``path``, created if absent; the system releases it however this process ends.

    A POSIX record lock (fcntl), since forked processes do not inherit it: loader workers that outlive a killed training
    would keep a lock of the open file (flock). On a file system without locks, nothing is locked.

    Raises:
        StraightflowError: ``busy``, if another process holds it.
        OSError: If the file cannot be opened.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise busy from error
            if error.errno not in _WITHOUT_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)
