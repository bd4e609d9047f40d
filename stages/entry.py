"""How stages and commands end: one clear message and exit code 2 on a user's error, 75 for "resume", 130 on Ctrl-C."""

from __future__ import annotations

import gc
import io
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.system.errors import EXIT_RESUME, InterruptedRunError, StraightflowError
from pipeline.system.file_errors import file_error
from pipeline.system.leftovers import clear_leftovers
from pipeline.system.memory import memory_error
from pipeline.system.task_status import kept_status
from stages import paths
from stages.inputs import require_apart_from_outputs

PARAMS = Path("params.yaml")


def run(main: Callable[[Config, list[str]], None]) -> None:
    """Calls a stage's ``main`` with the validated configuration and the command-line arguments."""
    gc.freeze()
    with one_message():
        config = load_config(PARAMS)
        require_apart_from_outputs(config)
        for folder in paths.written():
            clear_leftovers(folder)
        with kept_status(paths.PROGRESS, _stage(sys.argv)):
            main(config, sys.argv[1:])


def _stage(arguments: list[str]) -> str:
    """Name of the stage of a program's arguments, as in dvc.yaml: its module's, and what it is called with."""
    program, *given = arguments
    return "@".join([Path(program).stem, *(argument.rpartition("@")[2] for argument in given[:1])])


@contextmanager
def one_message() -> Iterator[None]:
    """Ends the program with one message and its exit code on a user's error, an interrupted run, a refused file, memory
    that was not enough, or Ctrl-C.

    Characters that the locale of a terminal or a pipe lacks are printed as ``?`` meanwhile.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        yield
    except InterruptedRunError as interrupted:
        print(f"{interrupted}; run the same command again to go on", file=sys.stderr)
        raise SystemExit(EXIT_RESUME) from None
    except KeyboardInterrupt:
        print("\ninterrupted; what was finished is kept: run the same command again to go on", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        print(f"error\n{told}", file=sys.stderr)
        raise SystemExit(2) from None


def _told(error: Exception) -> StraightflowError | None:
    """The message that ends the program; None for an error that is a fault of this code."""
    # First, as code that reads files of any content takes whatever a library raises for a fault of the content.
    of_memory = memory_error(error)
    if of_memory is not None:
        return of_memory
    return error if isinstance(error, StraightflowError) else file_error(error)


def single_argument(arguments: list[str], what: str, known: Collection[str]) -> str:
    """The one positional argument a stage takes, one of ``known``; ``what`` describes it in the error.

    It is a name as in the configuration, or ``<stage>@<name>`` as in ``DVC_STAGE``.
    """
    if len(arguments) != 1:
        raise StraightflowError(
            expected=f"one argument, {what}", found=" ".join(arguments) or "none", mend="call it as dvc.yaml does"
        )
    return known_name(arguments[0], what, known)


def known_name(argument: str, what: str, known: Collection[str]) -> str:
    """The name in ``argument``, see :func:`single_argument`.

    Raises:
        StraightflowError: If it is not one of ``known``.
    """
    name = argument.rpartition("@")[2]
    if name not in known:
        raise StraightflowError(
            expected=f"{what}: {', '.join(known) or 'none is configured'}", found=argument, mend="name one of them"
        )
    return name
