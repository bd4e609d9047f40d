from __future__ import annotations

from helpers.small_image_results import image_row, run_config

from pipeline.config.flow import LossConfig, TimestepsConfig
from pipeline.config.graph import Config
from pipeline.config.methods import AnyStepConfig, FixedStepsConfig, FrechetConfig, ReflowConfig
from pipeline.models.accepted_teacher import AcceptedFlow
from pipeline.report.publishing.limits import limits
from pipeline.report.publishing.stock_model import StockModel

ROWS = (
    image_row(fid=5.0, fid_low=4.0, fid_high=6.0),
    image_row(num_steps=2, nfe=2, fid=207.0, fid_low=200.0, fid_high=214.0),
)


def config(**student: object) -> Config:
    base = run_config()
    changed = base.students["few_step"].model_copy(update=student)
    return base.model_copy(update={"students": base.students | {"few_step": changed}})


def said(run: Config, *, classes: int | None = None, name: str = "few_step") -> str:
    return "\n".join(limits(run, name, StockModel(AcceptedFlow((3, 16, 24), classes)), ROWS))


def test_a_student_of_one_step_fails_at_more_with_the_numbers() -> None:
    text = said(config(method=FixedStepsConfig(num_steps=1)))
    assert "exactly 1 step." in text
    assert "fails: FID 207 [200, 214] at euler, 2 steps" in text
    assert "exactly 4 steps" in said(config(method=FixedStepsConfig(num_steps=4)))
    assert "for one Euler step and for more" in said(config(method=AnyStepConfig()))
    assert "an ODE solver samples it" in said(config(method=ReflowConfig(timesteps=TimestepsConfig(name="uniform"))))


def test_size_and_condition() -> None:
    assert "RGB images of 16 × 24 pixels" in said(config())
    assert "takes no class" in said(config())
    assert "a class from 0 to 9" in said(config(), classes=10)


def test_features_that_were_trained_on_are_named_for_whoever_learned_from_them() -> None:
    lpips = LossConfig(name="lpips_huber", c=0.03)
    base = run_config()
    start = base.students["round1"].model_copy(update={"loss": lpips})
    run = base.model_copy(update={"students": base.students | {"round1": start}})
    assert "No loss of this run used features" in said(config())
    # few_step starts from the weights of round1.
    assert "round1 learned on LPIPS features" in said(run)
    assert "round1 and few_step learned on" in said(
        run.model_copy(update={"students": run.students | {"few_step": config(loss=lpips).students["few_step"]}})
    )
    assert "No loss of this run used features" in said(run, name="teacher")


def test_what_it_learned_from_is_said() -> None:
    couplings = run_config().couplings["round1"]
    assert f"from {couplings.num_pairs:,} images that `teacher` drew" in said(config())


def test_a_student_of_the_features_that_measure_it_says_so_and_so_do_those_that_come_from_it() -> None:
    taught = config(method=FrechetConfig())
    assert "few_step descended the FID by classifier features" in said(taught)
    assert "only those by a judge's compare" in said(taught)
    assert "No loss of this run" not in said(taught)
    assert "descended" not in said(taught, name="round1")
    assert "descended" not in said(config(method=AnyStepConfig()))
