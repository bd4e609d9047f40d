"""What a run on latents cannot do, or has to say otherwise than a run on pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.config.couplings import storage_problem
from pipeline.config.data import height_and_width
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.config.trainings import trainings

if TYPE_CHECKING:
    from pipeline.config.graph import Config


def latents_problems(config: Config) -> Iterator[str]:
    """Yields settings that do not fit latents, one sentence each; none where there is no autoencoder."""
    autoencoder = config.autoencoder
    yield from _preparation_problems(config)
    if autoencoder is None:
        return
    if config.data.resolution is None:
        yield f"autoencoder is for images; set it to null for data.source {config.data.source!r}"
        return
    for side in dict.fromkeys(height_and_width(config.data.resolution)):
        if side % autoencoder.downsampling:
            yield f"data.resolution is {side}, which autoencoder.downsampling, {autoencoder.downsampling}, must divide"
    for name, couplings in config.couplings.items():
        problem = storage_problem(couplings.dtype)
        if problem is not None:
            yield f"couplings.{name}: {problem}"
    for item in trainings(config):
        if item.settings.horizontal_flips and item.model != AUTOENCODER:
            yield f"{item.key}.horizontal_flips mirrors images, whose latents are no mirrored ones; set it to false"
    for key, loss in config.losses.items():
        if loss.name == "lpips_huber":
            yield f"{key} lpips_huber compares images; give l2 or pseudo_huber for latents"
    if autoencoder.source == TEACHER and config.teacher.pretrained is None:
        yield "autoencoder.source is 'teacher', which is the folder of teacher.pretrained; name one, or set it to null"
    if autoencoder.source != TEACHER and config.teacher.pretrained is not None:
        yield (
            f"autoencoder.source is {autoencoder.source!r}, but teacher.pretrained makes latents of its own; "
            "write source: teacher, or set teacher.pretrained to null"
        )
    if autoencoder.source == TEACHER:
        yield from _without_latents_of_the_data(config)


def _preparation_problems(config: Config) -> Iterator[str]:
    """Yields keys that would prepare the data otherwise than the models need them."""
    autoencoder = config.autoencoder
    made = autoencoder is not None and autoencoder.source != TEACHER
    named = "null" if autoencoder is None else f"of source {autoencoder.source!r}"
    if made and not config.latents:
        yield f"autoencoder is {named}, so the data are encoded; write latents: {{data: {{}}}}"
    if not made and config.latents:
        yield f"latents names the data, which no autoencoder of this run encodes: it is {named}; write latents: {{}}"
    trained_on = "latents" if made else "images"
    if config.trained_on != trained_on:
        yield f"trained_on is {config.trained_on!r}, and autoencoder is {named}; write trained_on: {trained_on}"


def _without_latents_of_the_data(config: Config) -> Iterator[str]:
    """Yields what needs the data's latents, which are not made where the autoencoder comes with the teacher."""
    for name in config.flows:
        yield f"flows.{name} learns the data, of which autoencoder.source 'teacher' gives no latents; leave it out"
    for name, couplings in config.couplings.items():
        if couplings.image_to_noise is not None:
            yield (
                f"couplings.{name}.image_to_noise inverts the data, of which autoencoder.source 'teacher' gives no "
                "latents; set it to null"
            )
