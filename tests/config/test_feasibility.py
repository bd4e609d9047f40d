"""What is known from the settings alone to fail later, and what just does not."""

from __future__ import annotations

from typing import Any

import pytest
from diffusers import DDPMScheduler
from helpers.composition import changed, composed

from pipeline.config.feasibility import level_problems
from pipeline.config.loading import parse_config
from pipeline.config.training import TrainingConfig
from pipeline.diffusion.noise_schedule import noise_schedule_of
from pipeline.system.errors import StraightflowError
from pipeline.training.preflight import require_divisible_batch

LAUNCH = {"command": "torchrun --nproc-per-node 3", "python": "python", "num_processes": 3}
TO_NOISE = {"share": 0.5, "solver": {"name": "ddim", "num_steps": 4}}
WATCHED = {"trackers": ["tensorboard"], "fid_every_steps": 10}


# Every first number is the largest or smallest that will do, the second one the next.
@pytest.mark.parametrize(
    ("key", "good", "bad", "message"),
    [
        ("couplings.round1.solver.num_steps", 1000, 1001, "1001 grid points.*1000 levels"),
        ("evaluate.num_steps", [1000], [1001], "evaluate.teacher_solvers: 1001"),
        ("evaluate.num_samples", 200, 63, "number of features .64."),
        ("features.classifier.num_features", 200, 201, "number of features .201."),
        ("evaluate.neighbours.num_samples", 200, 201, "more than evaluate.num_samples"),
        ("evaluate.kernel_distance.num_samples", 3, 2, "greater than or equal to 3"),
        ("evaluate.grid_images", 200, 201, "more than num_samples"),
        ("evaluate.neighbours.k", 99, 100, "must be more than k"),
        ("evaluate.seed", 2**64 - 1, 2**64, "less than or equal"),
        ("students.round1.heldout_items", 499, 500, "holds out 500 of 500 pairs"),
        ("couplings.round1.drop_farthest_share", 0.872, 0.874, "couplings.round1, of which.*found 63"),
        ("students.few_step.heldout_items", 499, 500, "students.few_step.heldout_items holds out 500 of 500"),
        ("teacher.train.heldout_items", 180, 181, "data.heldout_share holds out 180"),
        ("data.heldout_share", 0.0009, 0.0008, "leaves 1796 training and 1 held-out"),
        ("students.round1.gradient_accumulation_steps", 32, 33, "32 does not divide over 1 processes × 33"),
        ("teacher.unet.attention_head_dim", 16, 17, "must divide the channels"),
        ("teacher.unet.attention_head_dim", 32, 33, "must divide the channels"),
        ("teacher.unet.norm_num_groups", 16, 32, "must divide every entry"),
        ("couplings.round1.num_pairs", 64, 1, "at least two pairs"),
        ("data.resolution", 8, 9, "divisible by 2: give fewer"),
        ("launch", LAUNCH | {"num_processes": 1}, LAUNCH, "32 does not divide over 3 processes"),
        ("launch.num_processes", 1, 2, "'python' starts one process"),
        ("launch.sharded", False, True, "sharded"),
        ("launch.command", "env A=1 python", " ", "launch.command"),
        ("evaluate.student_solvers", ["euler"], [{"name": "euler", "num_steps": []}], "at least 1 item"),
        (
            "evaluate.student_solvers",
            [{"name": "euler", "grid": [0, 0.5, 1]}],
            [{"name": "euler", "grid": [0, 0.5, 1], "num_steps": [3]}],
            "leave out num_steps",
        ),
        ("couplings.round1.image_to_noise", None, TO_NOISE | {"share": 0.0001}, "comes to none of 500"),
        ("watch", WATCHED | {"fid_num_samples": 64}, WATCHED | {"fid_num_samples": 63}, "watch.fid_num_samples"),
        ("data.heldout_split", None, "train", "nothing would be held out"),
        ("data.subset", None, "plain_text", "only data sets on the hub have one"),
        ("name", "a" * 64, "a" * 65, "at most 64 characters"),
    ],
)
def test_a_setting_is_refused_from_the_first_value_that_cannot_be(
    key: str, good: object, bad: object, message: str
) -> None:
    extra: dict[str, Any] = {}
    if key == "evaluate.num_samples" or "unet.attention_head_dim" in key or key == "features.classifier.num_features":
        extra = {"evaluate.neighbours.num_samples": 60}
    if key == "evaluate.num_samples":
        extra["evaluate.headline.num_samples"] = 12_600  # a multiple of both
    if key == "teacher.unet.attention_head_dim" and good == 32:
        extra = {"teacher.unet.attention": [False, False]}  # the coarsest level attends in the middle, at 32 channels
    if key == "couplings.round1.num_pairs":
        extra = {"students.few_step.heldout_items": 0}
    parse_config(changed("smoke", extra | {key: good}), origin="test")
    with pytest.raises(StraightflowError, match=message):
        parse_config(changed("smoke", extra | {key: bad}), origin="test")


def seeds() -> list[str]:
    """Dotted keys of all seeds in the smoke preset."""
    found: list[str] = []

    def walk(value: object, path: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if key == "seed":
                    found.append(".".join((*path, key)))
                walk(item, (*path, key))

    walk(composed("preset=smoke"), ())
    return found


@pytest.mark.parametrize("key", seeds())
def test_a_seed_has_64_bits(key: str) -> None:
    largest = 2**64 - 1
    parse_config(changed("smoke", {key: largest}), origin="test")
    for seed in (2**64, -1):
        with pytest.raises(StraightflowError, match="seed"):
            parse_config(changed("smoke", {key: seed}), origin="test")


@pytest.mark.parametrize("key", ["flow", "round1"])
def test_a_batch_is_refused_by_the_same_function_before_and_in_training(key: str) -> None:
    config = parse_config(composed("preset=toy_smoke"), origin="test")
    training: TrainingConfig = config.flows["flow"] if key == "flow" else config.students["round1"]
    assert (training.batch_problem(4), training.batch_problem(3)) == (
        None,
        "batch_size 64 does not divide over 3 processes × 1 micro-batches",
    )
    require_divisible_batch(training, 4)
    with pytest.raises(StraightflowError, match="does not divide over 3"):
        require_divisible_batch(training, 3)


@pytest.mark.parametrize("grid", ["uniform", "quadratic"])
def test_the_levels_that_the_configuration_counts_are_those_of_the_schedule(grid: str) -> None:
    schedule = noise_schedule_of(DDPMScheduler(num_train_timesteps=20))
    solver = {"name": "ddim", "num_steps": 20, "grid": grid}
    content = changed("smoke", {"couplings.round1.solver": solver, "evaluate.num_steps": [20]})
    assert list(level_problems(parse_config(content, origin="test"), 20)) == []
    assert len({node.time for node in schedule.nodes(20, grid)[:-1]}) == 20
    inverted = {"share": 0.6, "solver": solver}
    content = changed("smoke", {"couplings.round1.image_to_noise": inverted, "evaluate.num_steps": [21]})
    problems = list(level_problems(parse_config(content, origin="test"), 20))
    assert [problem.partition(":")[0] for problem in problems] == [
        "couplings.round1.image_to_noise.solver",
        "evaluate.teacher_solvers",
    ]
    for refused in (schedule.nodes, schedule.nodes_to_noise):
        with pytest.raises(StraightflowError, match="21 grid points"):
            refused(21 if refused == schedule.nodes else 20, grid)


@pytest.mark.parametrize("levels", [3, 10, 61])
@pytest.mark.parametrize("grid", ["uniform", "quadratic"])
def test_no_step_count_up_to_the_levels_repeats_one(grid: str, levels: int) -> None:
    schedule = noise_schedule_of(DDPMScheduler(num_train_timesteps=levels))
    for steps in range(1, levels + 1):
        assert len({node.time for node in schedule.nodes(steps, grid)[:-1]}) == steps
        if steps < levels:
            assert len({node.time for node in schedule.nodes_to_noise(steps, grid)}) == steps + 1


@pytest.mark.parametrize("name", ["Teacher", "CLASSIFIER", "Round1", "../x", "r; touch x #", "1st", "a/b", "x" * 65])
def test_a_name_that_is_no_folder_of_its_own_is_refused(name: str) -> None:
    content = composed("preset=smoke")
    content["students"][name] = content["students"]["round2"]
    with pytest.raises(StraightflowError, match=r"students"):
        parse_config(content, origin="test")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("flows.flow.gradient_checkpointing", True, "flows.flow.gradient_checkpointing"),
        ("watch", WATCHED, "watch.fid_every_steps measures images"),
        ("data.num_points", 19, "held-out"),
        ("flows.flow.heldout_items", 401, "holds out 400"),
    ],
)
def test_points_are_checked_as_well(key: str, value: object, message: str) -> None:
    heldout = {"data.heldout_share": 0.05} if key == "data.num_points" else {}
    with pytest.raises(StraightflowError, match=message):
        parse_config(changed("toy_smoke", {key: value} | heldout), origin="test")


def test_a_teacher_that_is_not_trained_here_needs_no_batch() -> None:
    changes = {"teacher.pretrained": "some/teacher", "teacher.train.batch_size": 31, "launch": LAUNCH}
    for name in ("students.round1", "students.round2", "students.few_step"):
        changes[f"{name}.batch_size"] = 33
    parse_config(changed("smoke", changes), origin="test")
