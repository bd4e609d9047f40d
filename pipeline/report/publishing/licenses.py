"""The licenses of a publication: given by whoever publishes, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.system.errors import StraightflowError

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True)
class Licenses:
    """Identifiers as the hub lists them, such as ``mit`` or ``cc-by-4.0``.

    Attributes:
        model: Of what is published.
        data: Of the images that models were trained on and measured against.
        teacher: Of a pretrained teacher; None where the teacher was trained here.
        autoencoder: Of an autoencoder that was brought along by itself; None of any other.
    """

    model: str
    data: str
    teacher: str | None
    autoencoder: str | None = None


def require_licenses(
    model: str | None,
    data: str | None,
    teacher: str | None,
    pretrained: str | None,
    *,
    autoencoder: str | None = None,
    brings_autoencoder: bool = False,
) -> Licenses:
    """The licenses, once all that are needed are given.

    Args:
        model: As ``--license``.
        data: As ``--data-license``.
        teacher: As ``--teacher-license``.
        pretrained: Name of the pretrained teacher; None where it was trained here.
        autoencoder: As ``--autoencoder-license``.
        brings_autoencoder: Whether the run's autoencoder was brought along by itself.

    Raises:
        StraightflowError: If one is missing, is no identifier, or is of a teacher or an autoencoder that was not
            brought along.
    """
    needed = {"--license": ("this model", model), "--data-license": ("the data", data)}
    if pretrained is not None:
        needed["--teacher-license"] = (f"the teacher {pretrained}", teacher)
    if brings_autoencoder:
        needed["--autoencoder-license"] = ("the autoencoder", autoencoder)
    missing = {option: what for option, (what, given) in needed.items() if given is None}
    if missing or model is None or data is None:
        raise StraightflowError(
            expected=f"the license of {', of '.join(missing.values())}, which a card states and nobody can guess",
            found=f"no {', no '.join(missing)}",
            mend="give each as the hub lists it, such as `--license mit`; `other` where it is not listed",
        )
    if pretrained is None and teacher is not None:
        raise StraightflowError(
            expected="no license of a teacher that was trained in this run",
            found=f"--teacher-license {teacher}",
            mend="leave --teacher-license out; --data-license is that of what it was trained on",
        )
    if not brings_autoencoder and autoencoder is not None:
        raise StraightflowError(
            expected="no license of an autoencoder that was not brought along by itself",
            found=f"--autoencoder-license {autoencoder}",
            mend="leave --autoencoder-license out; one that came with the teacher has the teacher's license",
        )
    for option, (_, given) in needed.items():
        if given is not None and not _IDENTIFIER.fullmatch(given):
            raise StraightflowError(
                expected=f"an identifier of the hub's list of licenses for {option}, in lower case, such as cc-by-4.0",
                found=repr(given),
                mend=f"correct {option}; `other` stands for one that is not listed",
            )
    return Licenses(model, data, teacher, autoencoder)
