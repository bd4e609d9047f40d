"""The typed configuration: frozen, validated as a whole, unknown keys refused.

A stage reads ``params.yaml`` once through :func:`load_config` and hands sections of the result to
the library. Nothing else in the project reads configuration.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import StraightflowError

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]

TEACHER = "teacher"
DISTILLED = "distilled"
RESERVED_MODEL_NAMES = (TEACHER, DISTILLED, "classifier")


class Section(BaseModel):
    """Base of every section: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class LaunchConfig(Section):
    """How stages that use several processes are started.

    Attributes:
        command: Put before ``-m stages.<name>``: ``python``, ``accelerate launch …`` or ``torchrun …``.
        num_processes: The number of processes the command must yield; another number is an error.
    """

    command: str
    num_processes: PositiveInt


class ComputeConfig(Section):
    """Device-dependent speed settings; ``auto`` decides by what the hardware does well.

    Attributes:
        precision: Autocast type of network calls. ``auto``: bf16 on GPUs and on CPUs with bf16 units,
            otherwise fp32. Weights, noise, losses and ODE states are float32 always.
        compile: Whether networks go through ``torch.compile``. ``auto``: on GPUs only.
        channels_last: Memory format of networks and images. ``auto``: on GPUs only.
    """

    precision: Literal["auto", "fp32", "bf16"]
    compile: Literal["auto", "on", "off"]
    channels_last: Literal["auto", "on", "off"]


class DataConfig(Section):
    """Real images.

    Attributes:
        source: ``digits`` (bundled with scikit-learn), ``hub`` (a dataset id), ``folder`` (of image files,
            optionally one subfolder per label) or ``parquet`` (a file, or a folder of ``<split>.parquet``).
        location: Hub id or path; null for ``digits``.
        image_column: Column with images; null takes the only image column.
        label_column: Column with integer labels; null takes ``label`` where there is one.
        train_split: Name of the split to train on (``hub`` and ``parquet``).
        heldout_split: Name of the split held out; null holds out a share of the training split.
        heldout_share: Share of images held out when ``heldout_split`` is null.
        resolution: Height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        seed: Seed of the held-out choice.
    """

    source: Literal["digits", "hub", "folder", "parquet"]
    location: str | None
    image_column: str | None = None
    label_column: str | None = None
    train_split: str = "train"
    heldout_split: str | None = None
    heldout_share: Annotated[float, Field(gt=0, lt=1)]
    resolution: PositiveInt
    channels: Literal[1, 3]
    seed: NonNegativeInt

    @model_validator(mode="after")
    def _location_matches_source(self) -> DataConfig:
        if self.source == "digits" and self.location is not None:
            raise ValueError("data.location must be null for source 'digits'")
        if self.source != "digits" and not self.location:
            raise ValueError(f"data.location must name a {self.source} location")
        return self


class UNetConfig(Section):
    """Architecture of a ``diffusers.UNet2DModel`` trained here.

    Attributes:
        block_out_channels: Channels at each resolution, finest first.
        layers_per_block: Residual blocks per resolution.
        attention: Whether each resolution has self-attention.
        norm_num_groups: Groups of every group norm.
        attention_head_dim: Channels per attention head.
        dropout: Dropout probability while training.
    """

    block_out_channels: tuple[PositiveInt, ...]
    layers_per_block: PositiveInt
    attention: tuple[bool, ...]
    norm_num_groups: PositiveInt
    attention_head_dim: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _levels_agree(self) -> UNetConfig:
        if len(self.attention) != len(self.block_out_channels):
            raise ValueError(
                f"attention has {len(self.attention)} entries, block_out_channels has "
                f"{len(self.block_out_channels)}; give one per resolution"
            )
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise ValueError(
                    f"norm_num_groups={self.norm_num_groups} must divide every entry of "
                    f"block_out_channels, {channels} found"
                )
        return self


class TrainingConfig(Section):
    """Settings of the one training loop.

    Attributes:
        num_steps: Optimizer steps.
        batch_size: Images per step over all processes together.
        learning_rate: Peak learning rate of AdamW.
        lr_decay: Course of the learning rate after warm-up: ``constant``, or ``linear``/``cosine`` to 0.
        warmup_steps: Steps over which the learning rate rises linearly from 0.
        weight_decay: AdamW's decoupled weight decay.
        gradient_clip_norm: Largest global gradient norm.
        ema_halflife_images: Half-life of the weight average, in training images.
        ema_rampup_ratio: The half-life is at most this share of the images seen so far (EDM2).
        log_every_steps: Steps between two recorded losses.
        checkpoint_every_steps: Steps between two checkpoints.
        seed: Seed of batch order, times and noise.
    """

    num_steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    lr_decay: Literal["constant", "linear", "cosine"]
    warmup_steps: NonNegativeInt
    weight_decay: NonNegativeFloat
    gradient_clip_norm: PositiveFloat
    ema_halflife_images: PositiveInt
    ema_rampup_ratio: Annotated[float, Field(gt=0, le=1)]
    log_every_steps: PositiveInt
    checkpoint_every_steps: PositiveInt
    seed: NonNegativeInt


class TeacherConfig(Section):
    """The diffusion teacher.

    Attributes:
        pretrained: Hub id or local diffusers folder; null trains a DDPM on the data.
        unet: Architecture when trained here.
        train: Training when trained here.
    """

    pretrained: str | None
    unet: UNetConfig
    train: TrainingConfig


class SolverConfig(Section):
    """A deterministic solver of a model's ODE.

    Attributes:
        name: ``unipc`` or ``ddim`` for a teacher; ``euler``, ``heun`` or ``dopri5`` for a student.
        num_steps: Steps on the time grid; null for the adaptive ``dopri5``.
        rtol: Relative tolerance of ``dopri5``.
        atol: Absolute tolerance of ``dopri5``.
    """

    name: Literal["unipc", "ddim", "euler", "heun", "dopri5"]
    num_steps: PositiveInt | None = None
    rtol: PositiveFloat | None = None
    atol: PositiveFloat | None = None

    @model_validator(mode="after")
    def _settings_match_solver(self) -> SolverConfig:
        adaptive = self.name == "dopri5"
        if adaptive and (self.num_steps is not None or self.rtol is None or self.atol is None):
            raise ValueError("solver dopri5 takes rtol and atol, and num_steps: null")
        if not adaptive and (self.num_steps is None or self.rtol is not None or self.atol is not None):
            raise ValueError(f"solver {self.name} takes num_steps, and neither rtol nor atol")
        return self


TEACHER_SOLVERS = ("unipc", "ddim")
STUDENT_SOLVERS = ("euler", "heun", "dopri5")


class CouplingsConfig(Section):
    """Couplings of one round.

    Attributes:
        source: Model whose ODE maps noise to images: ``teacher`` or an earlier round.
        num_pairs: Pairs in the store.
        solver: How the ODE is solved.
        batch_size: Images per network call, per process.
        shard_pairs: Pairs per shard file.
        dtype: Stored type of images.
        seed: Store seed; pair i's noise is a function of it and i alone.
    """

    source: ModelName
    num_pairs: PositiveInt
    solver: SolverConfig
    batch_size: PositiveInt
    shard_pairs: PositiveInt
    dtype: Literal["uint8", "float16", "float32"]
    seed: NonNegativeInt


class LossConfig(Section):
    """Regression loss on velocities.

    Attributes:
        name: ``l2`` or ``pseudo_huber``.
        c: Pseudo-Huber constant as a multiple of sqrt(d), d = C·H·W (Song & Dhariwal use 0.00054);
            null for ``l2``.
    """

    name: Literal["l2", "pseudo_huber"]
    c: PositiveFloat | None = None

    @model_validator(mode="after")
    def _constant_matches_loss(self) -> LossConfig:
        if (self.name == "pseudo_huber") != (self.c is not None):
            raise ValueError("loss pseudo_huber takes c, loss l2 takes none")
        return self


class TimestepsConfig(Section):
    """Distribution of t while training.

    Attributes:
        name: ``uniform`` on [0, 1] or ``u_shaped``.
        a: Steepness of ``u_shaped`` (Lee et al. 2024 use 4); null for ``uniform``.
    """

    name: Literal["uniform", "u_shaped"]
    a: PositiveFloat | None = None

    @model_validator(mode="after")
    def _steepness_matches_name(self) -> TimestepsConfig:
        if (self.name == "u_shaped") != (self.a is not None):
            raise ValueError("timesteps u_shaped takes a, timesteps uniform takes none")
        return self


class FlowTrainingConfig(TrainingConfig):
    """Training of a round's velocity field.

    Attributes:
        init: Model whose EMA weights and architecture the student starts from.
        loss: Regression loss.
        timesteps: Distribution of t.
    """

    init: ModelName
    loss: LossConfig
    timesteps: TimestepsConfig


class RoundConfig(Section):
    """One reflow round: its couplings and the student trained on them."""

    couplings: CouplingsConfig
    train: FlowTrainingConfig


class DistillConfig(TrainingConfig):
    """Distillation to one step: regression of x_1 - x_0 at t = 0.

    Attributes:
        couplings: Round whose couplings are learned.
        init: Model whose EMA weights the generator starts from.
        loss: Regression loss.
    """

    couplings: ModelName
    init: ModelName
    loss: LossConfig


class ClassifierConfig(Section):
    """The small network whose features measure images that Inception does not fit.

    Attributes:
        num_steps: Training steps.
        batch_size: Images per step.
        learning_rate: Peak learning rate of AdamW, decayed linearly to 0.
        num_features: Width of the feature layer.
        min_accuracy: Held-out accuracy below which training fails.
        seed: Seed of weights and batches.
    """

    num_steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    num_features: PositiveInt
    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    seed: NonNegativeInt


class FeaturesConfig(Section):
    """What FID is computed on.

    Attributes:
        name: ``inception`` (clean-fid's network) or ``classifier`` (trained here on the training split).
        reference: Split whose images are the reference.
        classifier: Settings of the classifier; used when ``name`` is ``classifier``.
        batch_size: Images per feature pass.
    """

    name: Literal["inception", "classifier"]
    reference: Literal["train", "heldout"]
    classifier: ClassifierConfig
    batch_size: PositiveInt


class StraightnessConfig(Section):
    """How straightness is integrated: trajectories and Euler steps along them."""

    num_samples: PositiveInt
    num_steps: PositiveInt


class EvaluateConfig(Section):
    """The few-step sweep.

    Attributes:
        models: Models measured, in the order of tables and figures.
        num_steps: Step counts.
        num_samples: Generated images per cell.
        seed: Sample i's noise is a function of it and i; every cell shares the noise.
        batch_size: Images per network call, per process.
        teacher_solvers: Solvers the teacher is measured with.
        straightness: Settings of the straightness integral.
        grid_images: Noises shown in the sample grids.
    """

    models: tuple[ModelName, ...]
    num_steps: tuple[PositiveInt, ...]
    num_samples: PositiveInt
    seed: NonNegativeInt
    batch_size: PositiveInt
    teacher_solvers: tuple[Literal["ddim", "unipc"], ...]
    straightness: StraightnessConfig
    grid_images: PositiveInt


class Config(Section):
    """Everything a run depends on; the content of ``params.yaml``."""

    launch: LaunchConfig
    compute: ComputeConfig
    data: DataConfig
    teacher: TeacherConfig
    features: FeaturesConfig
    rounds: dict[ModelName, RoundConfig]
    distill: DistillConfig
    evaluate: EvaluateConfig

    @model_validator(mode="after")
    def _graph_is_sound(self) -> Config:
        problems = list(_graph_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _graph_problems(config: Config) -> Iterable[str]:
    """Yields what is wrong with the references between rounds, distillation and evaluation."""
    if not config.rounds:
        yield "rounds is empty; give at least one round"
    for name in config.rounds:
        if name in RESERVED_MODEL_NAMES:
            yield f"rounds.{name}: the name is reserved ({', '.join(RESERVED_MODEL_NAMES)}); rename the round"
    sources = (TEACHER, *config.rounds)
    for name, item in config.rounds.items():
        for key, target in (("couplings.source", item.couplings.source), ("train.init", item.train.init)):
            if target not in sources:
                yield f"rounds.{name}.{key} is {target!r}{_nearest(target, sources)}"
        allowed = TEACHER_SOLVERS if item.couplings.source == TEACHER else STUDENT_SOLVERS
        if item.couplings.solver.name not in allowed:
            yield (
                f"rounds.{name}.couplings.solver.name is {item.couplings.solver.name!r}, but source "
                f"{item.couplings.source!r} takes one of {', '.join(allowed)}"
            )
    for cycle in _cycles(config.rounds):
        yield f"rounds form a cycle: {' <- '.join(cycle)}; one of them must start from the teacher"
    if config.distill.couplings not in config.rounds:
        yield f"distill.couplings is {config.distill.couplings!r}{_nearest(config.distill.couplings, config.rounds)}"
    if config.distill.init not in sources:
        yield f"distill.init is {config.distill.init!r}{_nearest(config.distill.init, sources)}"
    known = (*sources, DISTILLED)
    for model in config.evaluate.models:
        if model not in known:
            yield f"evaluate.models names {model!r}{_nearest(model, known)}"
    for key, values in (("models", config.evaluate.models), ("num_steps", config.evaluate.num_steps)):
        if not values or len(set(values)) != len(values):
            yield f"evaluate.{key} must name at least one entry and none twice, found {list(values)}"
    if config.evaluate.grid_images > config.evaluate.num_samples:
        yield (
            f"evaluate.grid_images is {config.evaluate.grid_images}, more than evaluate.num_samples "
            f"({config.evaluate.num_samples})"
        )


def _cycles(rounds: Mapping[str, RoundConfig]) -> Iterable[list[str]]:
    """Yields each cycle of rounds that depend on each other, smallest name first, once."""
    seen: set[frozenset[str]] = set()

    def walk(name: str, path: list[str]) -> Iterable[list[str]]:
        if name in path:
            cycle = path[path.index(name) :]
            if frozenset(cycle) not in seen:
                seen.add(frozenset(cycle))
                yield [*cycle, name]
            return
        item = rounds.get(name)
        if item is None:
            return
        for target in dict.fromkeys((item.couplings.source, item.train.init)):
            yield from walk(target, [*path, name])

    for name in sorted(rounds):
        yield from walk(name, [])


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f", which does not exist{hint} (known: {', '.join(known)})"


def load_config(path: Path) -> Config:
    """Reads and validates a composed configuration.

    Args:
        path: The YAML file, normally ``params.yaml``.

    Raises:
        StraightflowError: If the file is missing, is not YAML, or does not validate. The message names
            every offending key and, for unknown keys, the nearest valid one.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise StraightflowError(
            expected=f"a composed configuration at {path}",
            found=str(error),
            mend="run from the project's folder, or compose one with `dvc exp run`",
        ) from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StraightflowError(
            expected=f"YAML in {path}", found=" ".join(str(error).split()), mend="correct that line"
        ) from error
    return parse_config(content, origin=str(path))


def parse_config(content: object, *, origin: str) -> Config:
    """Validates a configuration given as plain mappings; ``origin`` names it in messages."""
    if not isinstance(content, dict):
        raise StraightflowError(
            expected=f"a mapping of sections in {origin}",
            found=type(content).__name__,
            mend="compose the file from a preset with `dvc exp run -S preset=digits`",
        )
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        problems = [_describe(dict(item)) for item in error.errors()]
        raise StraightflowError(
            expected=f"a valid configuration in {origin}",
            found="\n          ".join(problems),
            mend="correct the keys above in configs/ (or on the command line) and compose again",
        ) from error


def _describe(problem: Mapping[str, Any]) -> str:
    """One line for one pydantic error, with the nearest valid key for an unknown one."""
    location = [str(part) for part in problem["loc"]]
    dotted = ".".join(location)
    if problem["type"] == "extra_forbidden":
        valid = list(_section_at(location[:-1]).model_fields)
        return f"unknown key {dotted!r}{_nearest(location[-1], valid)}"
    if problem["type"] == "missing":
        return f"key {dotted!r} is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not dotted:
        return message
    if problem["type"] == "value_error":
        return f"{dotted}: {message}"
    return f"{dotted}: {message}, found {problem['input']!r}"


def _section_at(location: Iterable[str]) -> type[Section]:
    """The section class at a dotted location of the configuration."""
    section: type[Section] = Config
    for part in location:
        if part not in section.model_fields:
            continue  # the name of a round
        annotation = section.model_fields[part].annotation
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, Section):
                section = candidate
    return section
