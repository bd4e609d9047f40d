"""The diffusion teacher: pretrained, or trained here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.flow import FlowMatchingConfig
from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.config.pretrained import Process, Promised
from pipeline.config.section import NonNegativeInt, PathText, Section
from pipeline.config.training import TrainingConfig

NUM_NOISE_LEVELS = 1000
"""Timesteps of diffusion models trained here (Ho et al. 2020)."""

PredictionType = Literal["epsilon", "v_prediction"]
"""What the network of a diffusion model trained here predicts, as diffusers calls it."""


class TeacherConfig(Section):
    """The diffusion teacher.

    Attributes:
        pretrained: Hub id or local diffusers folder; null trains a model on the data.
        pretrained_process: What ``pretrained`` is: a ``diffusion`` model, or a ``flow`` as students are saved here. It
            decides which solvers it takes; ``check`` compares it with the model's scheduler.
        null_class: Class of ``pretrained`` that stands for none, which guidance needs: the last of a network that has
            one more than the data. It is never drawn as a condition, nor by students. Null where there is none.
        label_dropout: Null trains an unconditional model here. A share in [0, 1) trains one conditioned on the classes
            of the data; with this probability a label is replaced by the class that stands for none (p_uncond of Ho &
            Salimans 2022, who use 0.1 and 0.2), which guidance needs: the last of a network that has one more than the
            data. At 0 there is no such class, and no guidance.
        prompts: Text file, one prompt a line, for a ``pretrained`` that reads text: its conditions, encoded once when
            it is adopted. The empty prompt is added as the one that stands for none. Null for other models.
        guide: Hub id or local folder of a smaller or earlier checkpoint of ``pretrained``, of the same process, shape
            and classes, for guidance ``by: guide``. It is saved with the teacher. Null where there is none.
        unet: Architecture when trained here on images; null for points.
        mlp: Architecture when trained here on points; null for images.
        prediction_type: What a DDPM trained here predicts: ``epsilon``, the noise, as Ho et al. 2020; or
            ``v_prediction`` (Salimans & Ho 2022), which needs fewer steps of training until its images have the right
            brightness.
        flow: What is trained here: null for a DDPM, or the settings of a flow matched to the data, which in the
            papers' counting is a "1-rectified flow".
        train: Training settings when trained here.
    """

    pretrained: PathText | None
    pretrained_process: Process = "diffusion"
    null_class: NonNegativeInt | None = None
    # Not part of what trainings without classes are named by, so that their checkpoints are found again.
    label_dropout: Annotated[float | None, Field(ge=0, lt=1, exclude_if=lambda share: share is None)] = None
    prompts: PathText | None = None
    # Not part of what trainings are named by, which have none, so that their checkpoints are found again.
    guide: Annotated[PathText | None, Field(exclude_if=lambda guide: guide is None)] = None
    unet: UNetConfig | None
    mlp: MLPConfig | None = None
    # Not part of what trainings of the noise are named by, so that their checkpoints are found again.
    prediction_type: Annotated[PredictionType, Field(exclude_if=lambda kind: kind == "epsilon")] = "epsilon"
    flow: FlowMatchingConfig | None = None
    train: TrainingConfig

    @model_validator(mode="after")
    def _one_architecture(self) -> TeacherConfig:
        if (self.unet is None) == (self.mlp is None):
            raise ValueError("give one of unet (for images) and mlp (for points), and null for the other")
        if self.mlp is not None and self.pretrained is not None:
            raise ValueError("pretrained is for images; set it to null to train an mlp")
        if self.pretrained is None and self.pretrained_process == "flow":
            raise ValueError("pretrained_process says what pretrained is; to train a flow here, give flow its settings")
        if self.pretrained is None and self.null_class is not None:
            raise ValueError("null_class is of a pretrained teacher; to train one here that has it, give label_dropout")
        if self.pretrained is None and self.prompts is not None:
            raise ValueError("prompts are of a pretrained teacher; those trained here read no text")
        if self.pretrained is None and self.guide is not None:
            raise ValueError(
                "guide is of a pretrained teacher; to guide one trained here, name its folder as pretrained in another "
                "run"
            )
        if self.prediction_type != "epsilon" and (self.pretrained is not None or self.flow is not None):
            raise ValueError(
                "prediction_type is of a diffusion model trained here: a pretrained one says itself what it predicts, "
                "and a flow predicts its velocity; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _classes_are_of_what_can_have_them(self) -> TeacherConfig:
        if self.label_dropout is None:
            return self
        if self.pretrained is not None:
            raise ValueError("label_dropout is for training here; set it to null, and null_class to the class for none")
        if self.mlp is not None:
            raise ValueError("label_dropout is for images, whose networks take classes; set it to null for points")
        if self.flow is not None and self.flow.coupling == "minibatch_ot":
            # A class would get the noise that is nearest to it, and not N(0, I), which its samples are drawn from.
            raise ValueError(
                "label_dropout with flow.coupling minibatch_ot gives each class noise of its own, which "
                "sampling does not; set coupling: independent"
            )
        return self

    @property
    def trains_classes(self) -> bool:
        """Whether a model conditioned on the data's classes is trained here."""
        return self.label_dropout is not None

    @property
    def has_null_class(self) -> bool:
        """Whether one of its classes stands for none, so that it can be guided."""
        return self.null_class is not None or bool(self.label_dropout) or self.prompts is not None

    @property
    def network(self) -> UNetConfig | MLPConfig:
        """Architecture when trained here."""
        network = self.unet or self.mlp
        assert network is not None  # validated
        return network

    @property
    def promised(self) -> Promised:
        """What ``pretrained`` is said to be."""
        return Promised(self.pretrained_process, self.null_class, prompts=self.prompts, guide=self.guide)

    @property
    def is_flow(self) -> bool:
        """Whether the teacher is a velocity field, to be sampled like a student, rather than a diffusion model."""
        return self.trains_flow or self.pretrained_process == "flow"

    @property
    def trains_flow(self) -> bool:
        """Whether a velocity field is matched to the data here."""
        return self.pretrained is None and self.flow is not None
