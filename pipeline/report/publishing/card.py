"""The model card: ``README.md`` of a published folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from huggingface_hub import ModelCard

from pipeline.config.graph import Config
from pipeline.config.model_names import TEACHER
from pipeline.config.taught_features import taught_features
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.reconstruction_measures import ReconstructionQuality
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.metrics.uncertainty import CONFIDENCE
from pipeline.models.accepted_teacher import AcceptedFlow
from pipeline.report.images.results import Results
from pipeline.report.images.summary import fid_in_words
from pipeline.report.ledger import Ledger
from pipeline.report.publishing.licenses import Licenses
from pipeline.report.publishing.limits import limits
from pipeline.report.publishing.metadata import card_data, require_same_when_read
from pipeline.report.publishing.snippets import Drawing, exact_images, pipeline_call
from pipeline.report.publishing.sources import Sources
from pipeline.report.publishing.space import SPACE
from pipeline.report.publishing.stock_model import StockModel
from pipeline.report.step_table import steps_in_words

FID_FIGURE, SAMPLES_FIGURE = "figures/fid_by_steps.png", "figures/samples.png"
DDIM_STEPS = 20
SPACE_SECTION = (
    f"`{SPACE}/` holds the files of a Space that draws the same images, one at a time: "
    f"`hf upload OWNER/NAME {SPACE} . --repo-type space` makes one. On this machine `python {SPACE}/app.py` opens it."
)


@dataclass(frozen=True)
class Published:
    """What a card is about.

    Attributes:
        name: Of the model in its run.
        repository: Id on the hub; None for a folder.
        model: What its files say it is.
        licenses: Of the model and of what it was made from.
        sources: Data and teacher.
    """

    name: str
    repository: str | None
    model: StockModel
    licenses: Licenses
    sources: Sources

    @property
    def is_flow(self) -> bool:
        """Whether it is a flow, not a diffusion model."""
        return isinstance(self.model.accepted, AcceptedFlow)


def drawing_of(published: Published, config: Config, results: Results) -> Drawing:
    """What code on the card draws: the model, at the steps that it is for, as it was measured."""
    model = next(item for item in results.models if item.model == published.name)
    steps = _drawn_steps(model.rows, exact_steps_of(config, published.name)) if published.is_flow else DDIM_STEPS
    return Drawing(published.repository or ".", published.model, steps, model.precision)


def model_card(
    published: Published, config: Config, results: Results, ledger: Ledger, revision: str, *, has_space: bool
) -> ModelCard:
    """The card of a model.

    Args:
        published: The model.
        config: Of its run.
        results: Of its run; the model is among them.
        ledger: Of its run.
        revision: Of the code, in words.
        has_space: Whether the files of a Space are published with it.

    Raises:
        StraightflowError: If its metadata would be read as something else.
    """
    model = next(item for item in results.models if item.model == published.name)
    exact_steps, drawing = exact_steps_of(config, published.name), drawing_of(published, config, results)
    data = card_data(
        published.name,
        model.rows,
        published.licenses,
        published.sources,
        is_flow=published.is_flow,
        is_taught=bool(taught_features(config, published.name)),
    )
    sections = [
        f"# {published.name}",
        _introduction(published, config),
        *_drawing_section(published, drawing, exact_steps=exact_steps),
        *([SPACE_SECTION] if has_space else []),
        *_quality_section(published, config, results),
        "## What it cannot do",
        "\n".join(f"- {line}" for line in limits(config, published.name, published.model, model.rows)),
        *_provenance_section(published, config, ledger, revision),
        *_license_section(published, config),
    ]
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n")
    require_same_when_read(card, data)
    return card


def exact_steps_of(config: Config, name: str) -> int | None:
    """The only number of steps that a model is for; None for any."""
    return config.students[name].method.exact_steps if name in config.students else None


def _drawn_steps(rows: Sequence[ImageRow], exact_steps: int | None) -> int:
    """Steps of the example: those that the student is for, else the fewest that were measured."""
    return exact_steps or min((row.num_steps or 1 for row in rows), default=1)


def _introduction(published: Published, config: Config) -> str:
    student = config.students.get(published.name)
    if student is not None:
        source = config.couplings[student.couplings].source
        return (
            f"A rectified flow that draws {published.sources.data_in_words}, in few steps. It learned by the method "
            f"`{student.method.name}` from couplings (noise, image) along the deterministic ODE of `{source}`, and is "
            f"the student `{published.name}` of the run `{config.name}` of straightflow."
        )
    kind = "flow" if published.is_flow else "diffusion model"
    role = "the teacher" if published.name == TEACHER else f"the model `{published.name}`"
    return (
        f"A {kind} that draws {published.sources.data_in_words}: {role} of the run `{config.name}` of straightflow. "
        "Not distilled."
    )


def _drawing_section(published: Published, drawing: Drawing, *, exact_steps: int | None) -> list[str]:
    where = "In this folder, with" if published.repository is None else "With"
    parts = ["## Draw images", f"{where} stock diffusers 0.42 or newer and nothing of straightflow:"]
    short, exact = pipeline_call(drawing), exact_images(drawing)
    if short is not None:
        parts += [_code(short), _about_steps(published, exact_steps)]
    if exact is not None:
        same = (
            f"The images that `straightflow sample {published.name} --steps {drawing.steps} --files` draws with "
            f"`compute.precision: {drawing.precision}` on a CPU, "
            + ("to the bit:" if published.is_flow else "with `--solver ddim`, to rounding:")
        )
        parts += [same, _code(exact)]
    if short is None and exact is None:
        parts[1:] = ["Its stock pipeline adds noise at every step; `straightflow sample` solves its ODE."]
    return [*parts, f"![Samples of {published.name}, one noise a column]({SAMPLES_FIGURE})"]


def _about_steps(published: Published, exact_steps: int | None) -> str:
    if exact_steps is not None:
        return f"It is for exactly {steps_in_words(exact_steps)}."
    if published.model.decoder is not None:
        return "Any `num_inference_steps` works; the steps of the stock scheduler are those measured below."
    return (
        "Any `num_inference_steps` works. One step is exact; of several, the inner times of the stock scheduler differ "
        "by less than 0.001 from those measured below."
    )


def _quality_section(published: Published, config: Config, results: Results) -> list[str]:
    own = [row for row in results.rows if row.model == published.name]
    student = config.students.get(published.name)
    learned = [] if student is None else [
        row for row in results.rows if row.model == COUPLINGS_PREFIX + student.couplings
    ]  # fmt: skip
    head = ("of", "solver", "steps", "network calls", "features", "samples", "reference", "noise seed", "FID")
    return [
        "## Quality",
        f"Fréchet distance of features (FID, lower is better) with its {CONFIDENCE:.0%} interval. Samples n × k: the "
        "mean over k sets of n. By a judge's features nothing was chosen or trained. Couplings are what a student "
        "learned from.",
        _table(head, [_cells(row, config) for row in (*own, *learned)]),
        *([] if results.reconstruction is None else [_reconstruction(results.reconstruction)]),
        f"![FID by number of steps, all models of the run]({FID_FIGURE})",
    ]


def _reconstruction(measured: ReconstructionQuality) -> str:
    """What the autoencoder gives back, by each kind of features, beside the images that it was given."""
    found = "; ".join(
        f"{row.fid:.2f} by {row.features}{' (judge)' if row.is_judge else ''}, where the images themselves have "
        f"{row.fid_of_images:.2f}"
        for row in measured.rows
    )
    return (
        f"Reconstructions of {measured.num_images:,} held-out images by the autoencoder have FID {found}. What it "
        "loses, no model of its latents gets back. Distances of other numbers of samples do not compare."
    )


def _cells(row: ImageRow, config: Config) -> tuple[str, ...]:
    source = config.couplings[row.model.removeprefix(COUPLINGS_PREFIX)].source if row.is_couplings else row.model
    taught = " (trained on these)" if taught_features(config, source) else ""
    chunks = "" if row.num_chunks == 1 else f" × {row.num_chunks}"
    return (
        row.model,
        row.solver,
        steps_in_words(row.num_steps).split()[0],
        "–" if row.nfe is None else f"{row.nfe:g}",
        f"{row.features}{' (judge)' if row.is_judge else taught}",
        f"{row.num_samples:,}{chunks}",
        row.reference,
        str(row.seed),
        fid_in_words(row),
    )


def _provenance_section(published: Published, config: Config, ledger: Ledger, revision: str) -> list[str]:
    cost = next((item for item in ledger.models if item.model == published.name), None)
    if cost is None or cost.compute is None:
        compute = "What it took to make is not known."
    else:
        after = ", after the pretrained teacher, whose cost is not known" if cost.is_after_teacher else ""
        if config.autoencoder is not None and config.autoencoder.is_brought_along:
            after += ", without its autoencoder, which was brought along and whose cost is not known"
        compute = (
            f"To make it, with all that it learned from, took {cost.compute.flops:.2g} FLOPs and "
            f"{cost.compute.seconds:,.0f} device seconds{after}."
        )
    return [
        "## Provenance",
        f"Git revision of the project at publication: {revision}. `params.yaml` is the whole configuration. "
        "`provenance.json` has the versions, the hash of every input and output of each stage from the data on, "
        f"couplings included, and each stage's compute. {compute}",
        "`sha256sum --check SHA256SUMS` checks every file; `sha256.json` has those that straightflow checks by itself "
        "when it opens the folder, for example as `teacher.pretrained`.",
    ]


def _license_section(published: Published, config: Config) -> list[str]:
    licenses = published.licenses
    lines = [f"- This model: {licenses.model}", f"- The data: {licenses.data}"]
    if licenses.teacher is not None:
        lines.append(f"- The teacher, {config.teacher.pretrained}: {licenses.teacher}")
    if licenses.autoencoder is not None:
        name = published.sources.autoencoder or "which was brought along"
        lines.append(f"- The autoencoder, {name}: {licenses.autoencoder}")
    return ["## Licenses", "\n".join(lines)]


def _code(text: str) -> str:
    return f"```python\n{text}```"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
