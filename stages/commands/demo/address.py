"""Where the page is served."""

from __future__ import annotations

import socket

from pipeline.system.errors import StraightflowError, one_line


def free_port(host: str, port: int) -> int:
    """``port``, or a free one for 0.

    Raises:
        StraightflowError: If it cannot be listened at.
    """
    try:
        with socket.create_server((host, port)) as listening:
            found: int = listening.getsockname()[1]
            return found
    except OSError as error:
        raise StraightflowError(
            expected=f"an address of this machine and a free port, to listen at {host}:{port}",
            found=one_line(error),
            mend="name another --port, 0 for any free one, or another --host",
        ) from error
