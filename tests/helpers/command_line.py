"""The command ``straightflow``, called in this process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from stages.commands.app import app


def straightflow(*arguments: str) -> Result:
    """Exit code, output and exception of a call."""
    return CliRunner().invoke(app, arguments, prog_name="straightflow")


def printed(*arguments: str) -> str:
    """Standard output of a call that succeeds."""
    done = straightflow(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def refusal(*arguments: str) -> str:
    """Standard error of a call that is refused with exit status 2 and a single message."""
    done = straightflow(*arguments)
    assert (done.exit_code, type(done.exception)) == (2, SystemExit), done.output
    assert done.stderr.count("error\nexpected: ") + done.stderr.count("\nError: ") == 1, done.output
    return done.stderr
