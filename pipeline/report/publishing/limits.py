"""What a published model cannot do, in sentences for its card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.config.flow import LossConfig
from pipeline.config.graph import Config
from pipeline.config.lineage import stages_of, training_stage
from pipeline.config.methods import ReflowConfig
from pipeline.config.model_names import TEACHER
from pipeline.config.taught_features import taught_features
from pipeline.metrics.image_row import TRAINED_HERE, ImageRow
from pipeline.models.accepted_teacher import AcceptedFlow, AcceptedTeacher, num_conditions
from pipeline.report.images.comparisons import at_least_samples, by_first_features
from pipeline.report.images.summary import describe_solver, fid_in_words
from pipeline.report.publishing.stock_model import StockModel
from pipeline.report.step_table import steps_in_words


def limits(config: Config, name: str, model: StockModel, rows: Sequence[ImageRow]) -> tuple[str, ...]:
    """Sentences, most restricting first.

    Args:
        config: Of the run.
        name: Of the model.
        model: What its files say it is.
        rows: Its measured cells.
    """
    measured = at_least_samples(by_first_features(rows))
    return (
        *_of_what(model),
        *_of_steps(config, name, model.accepted, measured),
        *_of_training(config, name, measured),
        *_of_measuring(measured),
    )


def _of_what(model: StockModel) -> Iterator[str]:
    accepted, (channels, height, width) = model.accepted, model.image_shape
    colour = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
    yield f"It draws {colour} images of {height} × {width} pixels and no other size."
    if model.decoder is not None:
        latent = " × ".join(map(str, accepted.shape))
        yield (
            f"Its network makes latents of {latent}, which the `{model.decoder.kind}` in `{model.decoder.part}/` "
            "decodes: what this autoencoder loses of an image, it cannot draw."
        )
    classes = num_conditions(accepted)
    if classes is None:
        yield "It is unconditional: it takes no class, no text and no image."
    else:
        how = "the call of the stock pipeline passes none, so its network is called as above"
        if model.draws_by_its_call:
            how = "its numbers are without guidance, `guidance_scale=1.0`"
        elif model.is_given_classes:
            how = "its network is called as above"
        yield f"It is conditioned on a class from 0 to {classes - 1} and on nothing else; {how}."
    if isinstance(accepted, AcceptedFlow) and accepted.two_times:
        yield (
            "Its network takes the time that a step ends at in place of a class, which no stock pipeline passes, so it "
            "is called as above."
        )


def _of_steps(
    config: Config, name: str, accepted: AcceptedTeacher | AcceptedFlow, measured: Sequence[ImageRow]
) -> Iterator[str]:
    method = config.students[name].method if name in config.students else None
    if method is not None and method.exact_steps is not None:
        others = [row for row in measured if row.num_steps != method.exact_steps]
        found = ", ".join(f"{fid_in_words(row)} at {describe_solver(row)}" for row in others)
        yield (
            f"It is for exactly {steps_in_words(method.exact_steps)}. It never learned the states of other numbers of "
            f"steps, so there it fails{f': FID {found}' if found else ''}."
        )
    elif method is not None and not isinstance(method, ReflowConfig):
        yield "It was trained for one Euler step and for more."
    elif isinstance(accepted, AcceptedFlow):
        yield "It learned along the way from noise to image: an ODE solver samples it, and fewer steps cost quality."
    else:
        yield "It is a diffusion model, which needs many steps of a deterministic solver."
    yield "Nothing is known of other solvers and step counts than those in the table."


def _of_training(config: Config, name: str, measured: Sequence[ImageRow]) -> Iterator[str]:
    student = config.students.get(name)
    if student is not None:
        couplings = config.couplings[student.couplings]
        yield (
            f"It learned from {couplings.num_pairs:,} images that `{couplings.source}` drew ({couplings.solver.label}, "
            f"{couplings.solver.num_steps or 'adaptive'} steps), so it lacks what these lack, and repeats what "
            "they repeat of the data."
        )
    made = stages_of(config, name)
    on_features = [
        model
        for model, loss in _losses_by_model(config).items()
        if loss.name == "lpips_huber" and training_stage(config, model) in made
    ]
    taught = taught_features(config, name)
    if taught:
        features = measured[0].features if measured else "the first"
        yield (
            f"{' and '.join(taught)} descended the FID by {features} features, "
            "so FIDs by these features flatter it: only those by a judge's compare with other models'."
        )
    if on_features:
        yield (
            f"{' and '.join(on_features)} learned on LPIPS features of a network trained on ImageNet: distances of "
            "features of such networks flatter it."
        )
    elif not taught:
        yield "No loss of this run used features of a network, of those that measure it or of others."


def _losses_by_model(config: Config) -> dict[str, LossConfig]:
    """Losses by the model that they train; their keys are <section>.<model>.loss, or teacher.flow.loss."""
    parts = {tuple(key.split(".")): loss for key, loss in config.losses.items()}
    return {section if section == TEACHER else model: loss for (section, model, _), loss in parts.items()}


def _of_measuring(measured: Sequence[ImageRow]) -> Iterator[str]:
    if any(row.features.partition("-")[0] in TRAINED_HERE for row in measured):
        yield (
            "Its FIDs are of features of a small network that was trained in the run: they compare within the run, and "
            "with no other number."
        )
    compared = [row for row in measured if row.nearest_train_ratio is not None]
    copied = min(compared, key=lambda row: row.fid, default=None)
    if copied is not None:
        yield (
            "The median pixel distance of its images to the nearest training image is "
            f"{copied.nearest_train_ratio:.2f} times that of held-out images ({describe_solver(copied)}); well below 1 "
            "would be memorised images."
        )
