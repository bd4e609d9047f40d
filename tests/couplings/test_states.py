"""States between noise and image in the store, and stores without them as they always were."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings, rewrite_shard
from pydantic import ValidationError
from safetensors.torch import load_file, save

import pipeline.system.memory as memory_module
from pipeline.config.couplings import GateConfig, ImageToNoiseConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.coupling_run import open_run
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.generation import generate_couplings, make_shards
from pipeline.couplings.inventory import unfinished_stores
from pipeline.couplings.manifest import read_manifest
from pipeline.couplings.recount import disagreements
from pipeline.couplings.store import CouplingStore
from pipeline.couplings.unfinished import Worker
from pipeline.couplings.with_states import WithStates
from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.diffusion.solvers import GRID_SOLVERS
from pipeline.diffusion.teacher import Teacher
from pipeline.flow.noise import noise_check, sample_noise, stream_key
from pipeline.flow.solvers import Solution
from pipeline.flow.states import States
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder, fingerprint_json
from pipeline.training.samples import Mirrored

LIMITS = GateConfig(max_clipped_fraction=1.0, max_reintegration_error=0.05, reintegrated_pairs=12)
FOUR = SolverConfig(name="euler", num_steps=4)
EVERYTHING = np.arange(50)


@pytest.fixture
def with_states(sampler: Sampler, tmp_path: Path) -> Path:
    generate_couplings(sampler, couplings(solver=FOUR, states=True), tmp_path / "runs", tmp_path / "states")
    return tmp_path / "states"


def edit(store: Path, shard: int | None = None, **changes: object) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    (manifest if shard is None else manifest["shards"][shard]).update(changes)
    (store / "manifest.json").write_text(json.dumps(manifest))


# ----------------------------------------------------------------------------------------------------------------------
# stores without states


def test_a_store_without_states_has_the_bytes_that_it_had(store: Path) -> None:
    """Its shard is the images alone, and its manifest has the keys of version 2 in their order."""
    opened = CouplingStore(store)
    shard = (store / "shard-000001.safetensors").read_bytes()
    assert shard == save({"images": opened.images(np.arange(20, 40))})
    text = (store / "manifest.json").read_text()
    manifest = json.loads(text)
    assert list(manifest) == [
        "format", "version", "num_pairs", "shard_pairs", "shape", "dtype", "seed", "noise", "noise_check", "source",
        "source_fingerprint", "solver", "nfe_mean", "batch_size", "precision", "num_classes", "image_to_noise",
        "pair_filter", "shards",
    ]  # fmt: skip
    assert manifest["version"] == 2
    assert list(manifest["shards"][0]) == [
        "file", "num_pairs", "sha256", "clipped_fraction", "transport_cost", "direction", "noise",
    ]  # fmt: skip
    assert read_manifest(store).model_dump(mode="json") == manifest


def test_shards_that_were_begun_before_there_were_states_are_found_again(sampler: Sampler, tmp_path: Path) -> None:
    """Their folder is named by what it was named by: nothing of it speaks of states, unless they are kept."""
    settings = {
        "source": "round1",
        "solver": {"name": "euler", "num_steps": 2, "rtol": None, "atol": None, "grid": "uniform", "guidance": None},
        "batch_size": 8,
        "shard_pairs": 20,
        "dtype": "uint8",
        "seed": 7,
        "image_to_noise": None,
    }
    noise = noise_check(stream_key("couplings", 7), (1, 8, 8))
    code = {"python": "none"}
    named_by = fingerprint_json([2, sampler.fingerprint, "fp32", (1, 8, 8), settings, noise, code])
    run = open_run(sampler, couplings(), tmp_path / "runs", code=code)
    assert run.unfinished.folder.name == f"couplings-{named_by[:16]}"
    make_shards(run, Worker(0, 1))
    record = next(run.unfinished.folder.glob("*.safetensors.json"))
    older = {key: value for key, value in json.loads(record.read_text()).items() if key != "states"}
    record.write_text(json.dumps(older))
    assert all(run.finished(shard) is not None for shard in range(3))
    other = open_run(sampler, couplings(states=True), tmp_path / "runs", code=code)
    assert other.unfinished.folder != run.unfinished.folder
    found = {item.folder: item for item in unfinished_stores(tmp_path / "runs")}
    for folder, states in ((run.unfinished.folder, False), (other.unfinished.folder, True)):
        assert found[folder].is_of(couplings(states=states))
        assert not found[folder].is_of(couplings(states=not states))
        assert found[folder].describe().endswith("2 steps, seed 7, with states" if states else "2 steps, seed 7")


def test_keeping_states_changes_neither_noise_nor_images(sampler: Sampler, with_states: Path, tmp_path: Path) -> None:
    generate_couplings(sampler, couplings(solver=FOUR), tmp_path / "runs", tmp_path / "plain")
    plain, kept = CouplingStore(tmp_path / "plain"), CouplingStore(with_states)
    for name, values in plain.load(EVERYTHING).items():
        assert torch.equal(kept.load(EVERYTHING)[name], values)
    assert kept.manifest.nfe_mean == plain.manifest.nfe_mean == 4


# ----------------------------------------------------------------------------------------------------------------------
# what is kept


def test_a_students_states_are_where_its_steps_begin(sampler: Sampler, with_states: Path) -> None:
    store = CouplingStore(with_states)
    assert store.manifest.version == 3
    assert store.manifest.state_times == (0.25, 0.5, 0.75)
    indices = np.array([41, 3, 20])
    x = sample_noise(stream_key("couplings", 7), indices.tolist(), (1, 8, 8))
    states = store.states(indices)
    assert states.dtype == torch.float16
    field = sampler.velocity_field()
    for number, t in enumerate((0.0, 0.25, 0.5)):
        with torch.inference_mode():
            x = x + 0.25 * field(x, torch.full((3,), t))
        assert ((states[:, number].float() - x).abs() <= 2**-11 * x.abs() + 1e-5).all()


TEACHER_SCHEDULE = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 100,
    "beta_schedule": "linear",
    "beta_start": 0.001,
    "beta_end": 0.15,
    "prediction_type": "sample",
}
MEAN, STD = 0.3, 0.5


class GaussianTeacher(torch.nn.Module):
    """E[x_1 | x] for entries of x_1 that are N(MEAN, STD²), and x = alpha x_1 + sigma ε."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = read_noise_schedule(TEACHER_SCHEDULE)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
        index = int(time[0])
        alpha, sigma = float(self.schedule.alpha[index]), float(self.schedule.sigma[index])
        slope = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
        return SimpleNamespace(sample=MEAN + slope * (x - alpha * MEAN))


def gaussian_sampler(runtime) -> Sampler:
    network = GaussianTeacher()
    return Sampler((1, 4, 4), "0" * 64, network.schedule, network, runtime)


@pytest.mark.parametrize("grid", ["uniform", "quadratic"])
@pytest.mark.parametrize("name", sorted(GRID_SOLVERS))
def test_a_teachers_states_are_those_that_a_solve_up_to_them_ends_in(runtime, name: str, grid: str) -> None:
    """A solver that ends at a node ends where the whole solve first calls its network at that node."""
    sampler, solver = gaussian_sampler(runtime), SolverConfig(name=name, num_steps=5, grid=grid)
    x_0 = sample_noise(1, range(6), (1, 4, 4))
    solution = sampler.sample(x_0, solver, keep_states=True)
    assert torch.equal(solution.x, sampler.sample(x_0, solver).x)
    assert solution.states is not None
    nodes = sampler.noise_schedule.nodes(5, grid)
    estimate = Teacher(sampler.network, sampler.noise_schedule).estimate
    times = sampler.state_times(solver)
    for number in (1, 2, 3, 4):
        node = nodes[number]
        x = GRID_SOLVERS[name](estimate, x_0, nodes[: number + 1])
        expected = x / (node.alpha + node.sigma)
        found = solution.states.z[:, number - 1].float()
        assert ((found - expected).abs() <= 2**-11 * expected.abs() + 1e-5).all()
        assert times[number - 1] == pytest.approx(node.alpha / (node.alpha + node.sigma), rel=1e-12)
    assert len(times) == solution.states.z.shape[1] == 4


@pytest.mark.parametrize("name", ["heun", "unipc", "dpmpp_2m"])
def test_a_teachers_states_are_on_its_ode(runtime, name: str) -> None:
    """In straight-line time a Gaussian's ODE keeps (z - t MEAN) / sqrt((1 - t)² + t² STD²) as it is."""
    sampler, solver = gaussian_sampler(runtime), SolverConfig(name=name, num_steps=50)
    x_0 = sample_noise(1, range(6), (1, 4, 4))
    states = sampler.sample(x_0, solver, keep_states=True).states
    assert states is not None
    first = sampler.noise_schedule.node(-1).t

    def standardised(z: torch.Tensor, t: float) -> torch.Tensor:
        return (z - t * MEAN) / math.hypot(1 - t, t * STD)

    expected = standardised(sampler.trajectory_start(x_0), first)
    for t, z in zip(sampler.state_times(solver), states.z.float().unbind(dim=1), strict=True):
        torch.testing.assert_close(standardised(z, t), expected, atol=0.02, rtol=0.02)


def test_an_exploding_teachers_states_are_on_the_straight_axis(runtime) -> None:
    schedule = read_noise_schedule(
        {"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 50.0, "num_train_timesteps": 100}
    )

    class NothingButBlack(torch.nn.Module):
        """The score of images in [0, 1] that are all 1/2, at noise of scale ``time``."""

        def forward(self, x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(sample=-(x - 0.5) / float(time[0]) ** 2)

    sampler = Sampler((1, 4, 4), "0" * 64, schedule, NothingButBlack(), runtime)
    solver, x_0 = SolverConfig(name="ddim", num_steps=6), sample_noise(1, range(3), (1, 4, 4))
    states = sampler.sample(x_0, solver, keep_states=True).states
    assert states is not None
    for t, z in zip(sampler.state_times(solver), states.z.float().unbind(dim=1), strict=True):
        torch.testing.assert_close(z, (1 - t) * x_0, atol=2e-3, rtol=2e-3)


# ----------------------------------------------------------------------------------------------------------------------
# reading and making


def test_only_who_asks_for_states_reads_them(with_states: Path) -> None:
    store = CouplingStore(with_states)
    assert set(store.load(EVERYTHING)) == {"x_0", "x_1"}
    view = WithStates(store)
    batch = view.load(np.array([30, 4]))
    assert set(batch) == {"x_0", "x_1", "states"}
    assert batch["states"].shape == (2, 3, 1, 8, 8)
    assert torch.equal(batch["states"], store.states(np.array([30, 4])))
    assert (len(view), view.times, view.locate(30)) == (50, (0.25, 0.5, 0.75), store.locate(30))
    sent = pickle.dumps(view)
    assert len(sent) < 1000
    assert torch.equal(pickle.loads(sent).load(np.array([30, 4]))["states"], batch["states"])


def test_states_are_flipped_with_their_pair(with_states: Path) -> None:
    view = WithStates(CouplingStore(with_states))
    plain, both = view.load(np.array([7, 7])), Mirrored(view).load(np.array([14, 15]))
    for name in ("x_0", "x_1", "states"):
        assert torch.equal(both[name][0], plain[name][0])
        assert torch.equal(both[name][1], plain[name][1].flip(-1))


def test_a_store_without_states_has_no_such_view(store: Path) -> None:
    with pytest.raises(StraightflowError, match=r"states of the pairs(.|\n)*found: none(.|\n)*set states: true"):
        WithStates(CouplingStore(store))


def test_states_of_pairs_that_the_filter_leaves(sampler: Sampler, with_states: Path, tmp_path: Path) -> None:
    config = couplings(solver=FOUR, states=True, drop_farthest_share=0.25)
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "filtered")
    whole, filtered = CouplingStore(with_states), CouplingStore(tmp_path / "filtered")
    indices = np.arange(len(filtered))
    assert len(filtered) == 38
    assert torch.equal(filtered.states(indices), whole.states(filtered.seed_indices(indices)))


def test_states_do_not_depend_on_the_batch_size_and_a_resumed_store_has_the_same_bytes(
    sampler: Sampler, with_states: Path, tmp_path: Path
) -> None:
    config = couplings(solver=FOUR, states=True)
    make_shards(open_run(sampler, config, tmp_path / "jobs"), Worker(1, 2))
    generate_couplings(sampler, config, tmp_path / "jobs", tmp_path / "resumed")
    assert fingerprint_folder(tmp_path / "resumed") == fingerprint_folder(with_states)
    generate_couplings(sampler, config.model_copy(update={"batch_size": 50}), tmp_path / "runs", tmp_path / "other")
    first, second = (CouplingStore(path).states(EVERYTHING).float() for path in (with_states, tmp_path / "other"))
    torch.testing.assert_close(first, second, rtol=2**-9, atol=1e-4)


def test_the_manifest_says_what_storing_costs_and_what_is_left_of_the_way(sampler: Sampler, with_states: Path) -> None:
    store = CouplingStore(with_states)
    for shard, rows in enumerate((np.arange(20), np.arange(20, 40), np.arange(40, 50))):
        said, x_1 = store.manifest.shards[shard].states, store.x_1(rows)
        assert said is not None
        left = (x_1[:, None] - store.states(rows).float()).square().mean()
        assert said.remaining_cost == pytest.approx(left.item(), rel=1e-5)
        solved = sampler.sample(store.load(rows)["x_0"], FOUR, keep_states=True).states
        assert solved is not None
        # Rounding to float16 is uniform within half a unit of 2^-10 of the power of two below.
        assert 0 < said.float16_error < 2**-11 * store.states(rows).float().square().mean().sqrt().item()


def test_a_state_that_is_not_finite_names_the_shard(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    original = Sampler.sample

    def breaks(self, x_0, solver, labels=None, *, keep_states=False):
        solution = original(self, x_0, solver, labels, keep_states=keep_states)
        return Solution(solution.x, solution.nfe, States(solution.states.z / 0, solution.states.squared_error))

    monkeypatch.setattr(Sampler, "sample", breaks)
    with pytest.raises(StraightflowError, match=r"finite states(.|\n)*shard-000000\S+, pairs 0 to 7"):
        generate_couplings(sampler, couplings(states=True), tmp_path / "runs", tmp_path / "store")


def test_a_shard_that_memory_cannot_hold_is_refused_before_it_is_drawn(
    sampler: Sampler, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(memory_module, "memory_at_hand", lambda: 2 * 2 * 20 * 3 * 64 - 1)
    monkeypatch.setattr(Sampler, "sample", None)
    with pytest.raises(StraightflowError, match=r"states of a shard(.|\n)*lower shard_pairs"):
        generate_couplings(sampler, couplings(solver=FOUR, states=True), tmp_path / "runs", tmp_path / "store")


# ----------------------------------------------------------------------------------------------------------------------
# what is refused


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"solver": SolverConfig(name="dopri5", rtol=1e-3, atol=1e-3)}, ["dopri5 chooses its own times"]),
        ({"solver": SolverConfig(name="euler", num_steps=1)}, ["one step"]),
        ({"image_to_noise": ImageToNoiseConfig(share=0.6, solver=FOUR)}, ["set image_to_noise: null"]),
        (
            {
                "solver": SolverConfig(name="dopri5", rtol=1e-3, atol=1e-3),
                "image_to_noise": ImageToNoiseConfig(share=0.6, solver=FOUR),
            },
            ["dopri5 chooses its own times", "set image_to_noise: null"],
        ),
    ],
)
def test_states_that_do_not_exist_are_refused_in_one_message(changes: dict[str, object], problems: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        couplings(states=True, **changes)
    (error,) = caught.value.errors()
    assert all(problem in error["msg"] for problem in problems)
    couplings(**changes)


def test_the_gate_takes_states_that_are_as_they_were_solved(sampler: Sampler, with_states: Path) -> None:
    check_couplings(CouplingStore(with_states), couplings(solver=FOUR, states=True), LIMITS, sampler)
    # Students that learn ends alone may use them as well.
    check_couplings(CouplingStore(with_states), couplings(solver=FOUR), LIMITS, sampler)


def gate_refusal(store: Path, sampler: Sampler) -> str:
    with pytest.raises(StraightflowError) as caught:
        check_couplings(CouplingStore(store), couplings(solver=FOUR, states=True), LIMITS, sampler)
    return caught.value.found


def test_the_gate_refuses_states_of_other_pairs(sampler: Sampler, with_states: Path) -> None:
    tensors = load_file(with_states / "shard-000001.safetensors")
    tensors["states"] = tensors["states"].roll(1, 0)
    rewrite_shard(with_states, 1, tensors)
    first, second = gate_refusal(with_states, sampler).split("\n          ")
    assert "of the states in shard-000001.safetensors" in first
    assert second.startswith("states.remaining_cost")


def test_the_gate_refuses_a_store_whose_states_were_promised_and_are_not_there(sampler: Sampler, tmp_path) -> None:
    generate_couplings(sampler, couplings(solver=FOUR), tmp_path / "runs", tmp_path / "plain")
    assert gate_refusal(tmp_path / "plain", sampler) == "no states, but states: true promised them"


def test_the_gate_refuses_times_that_the_source_is_not_solved_at(sampler: Sampler, with_states: Path) -> None:
    edit(with_states, state_times=[0.25, 0.5, 0.8])
    assert "state_times [0.25, 0.5, 0.8], but round1 is solved at [0.25, 0.5, 0.75]" in gate_refusal(
        with_states, sampler
    )


def test_states_that_are_not_those_of_the_manifest_are_found_without_the_source(with_states: Path) -> None:
    assert list(disagreements(CouplingStore(with_states))) == []
    tensors = load_file(with_states / "shard-000000.safetensors")
    tensors["states"] = tensors["states"].flip(1)
    tensors["states"][:, 0] += 1
    rewrite_shard(with_states, 0, tensors)
    (line,) = disagreements(CouplingStore(with_states))
    assert line.startswith("states.remaining_cost")
    assert "shard-000000.safetensors" in line


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda store: edit(store, version=2), "states in every shard and state_times, or in none"),
        (lambda store: edit(store, state_times=None), "or in none"),
        (lambda store: edit(store, shard=1, states=None), "or in none"),
        (lambda store: edit(store, state_times=[0.25, 0.75]), "3 state_times rising"),
        (lambda store: edit(store, state_times=[0.25, 0.25, 0.75]), "3 state_times rising"),
        (lambda store: edit(store, state_times=[0.5, 0.25, 0.75]), "3 state_times rising"),
        (lambda store: edit(store, state_times=[0.0, 0.25, 0.75]), "3 state_times rising"),
        (lambda store: edit(store, state_times=[0.25, 0.75, 1.0]), "3 state_times rising"),
        (lambda store: edit(store, state_times=[0.25, float("nan"), 0.75]), "state_times.*finite number"),
        (lambda store: edit(store, shard=0, states={"float16_error": -1.0, "remaining_cost": 1.0}), "greater than"),
        (lambda store: edit(store, shard=0, states={"float16_error": 0.0}), "remaining_cost"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(with_states: Path, damage, message: str) -> None:
    damage(with_states)
    with pytest.raises(StraightflowError, match=message):
        CouplingStore(with_states)


def test_a_shard_without_the_states_of_the_manifest_is_refused(with_states: Path) -> None:
    tensors = load_file(with_states / "shard-000002.safetensors")
    del tensors["states"]
    with pytest.raises(StraightflowError, match=r"shard-000002"):
        rewrite_shard(with_states, 2, tensors)


def test_a_teachers_store_with_states_passes_its_gate(tiny_unet, runtime, tmp_path: Path) -> None:
    save_teacher(tiny_unet, tmp_path / "teacher", training_scheduler())
    sampler = load_sampler(tmp_path / "teacher", runtime)
    config = couplings(
        source="teacher", solver=SolverConfig(name="unipc", num_steps=4, grid="quadratic"), dtype="float16", states=True
    )
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store")
    check_couplings(CouplingStore(tmp_path / "store"), config, LIMITS, sampler)
