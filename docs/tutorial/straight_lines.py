# %% [markdown]
# # From a straight line between two points to a one-step sampler
#
# Run it with `python docs/tutorial/straight_lines.py`; `straight_lines.ipynb` is the same, executed. Every number
# below is computed by the project's own code; the pictures are written beside this file.

# %% Settings
import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.config.couplings import CouplingsConfig
from pipeline.config.network import MLPConfig
from pipeline.config.noise import STANDARD_NOISE
from pipeline.config.solver import SolverConfig
from pipeline.config.training import FlowConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.paths import linear_path, linear_velocity
from pipeline.flow.solvers import uniform_grid
from pipeline.methods.fixed_steps import FixedSteps
from pipeline.methods.flow_matching import build_flow_matching
from pipeline.methods.reflow import build_reflow
from pipeline.metrics.points import sliced_wasserstein
from pipeline.metrics.trajectories import measure_trajectories
from pipeline.models.networks import build_network
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.report.drawing import png
from pipeline.report.points.conditional_paths import conditional_paths_figure, path_difference
from pipeline.report.points.figures import trajectories_figure
from pipeline.toys.distributions import TOYS
from pipeline.training.loop import train

NUM_STEPS = 3000
NUM_PAIRS = 20000
NUM_SAMPLES = 2000
# A notebook runs in its own folder, the script in that of the project.
PICTURES = Path("docs/tutorial") if Path("docs/tutorial").is_dir() else Path()

# %% [markdown]
# ## 1. A line between two points
#
# Noise `x_0` at t = 0, data `x_1` at t = 1, and the straight line between them. A point that moves along it from
# t = 0 to 1 has the constant velocity `x_1 - x_0`.

# %%
x_0, x_1 = torch.tensor([[0.0, -5.0]]), torch.tensor([[5.0, 0.0]])
velocity = linear_velocity(x_0, x_1)
for t in (0.0, 0.5, 1.0):
    x_t = linear_path(x_0, x_1, torch.tensor([t]))
    assert torch.allclose(x_t, x_0 + t * velocity)
print(f"velocity {velocity.tolist()[0]}, halfway at {linear_path(x_0, x_1, torch.tensor([0.5])).tolist()[0]}")

# %% [markdown]
# Flow matching's conditional optimal-transport path (Lipman et al. 2023) is the same line, except for a little noise
# that it leaves at the data: x_t = (1 - (1 - sigma_min) t) x_0 + t x_1. Given one data point it is a Gaussian with mean
# t x_1 and standard deviation 1 - (1 - sigma_min) t, the band below. Its end points and velocities differ from the
# rectified flow's by sigma_min times the noise, so the two coincide as sigma_min goes to 0.
#
# ![Paths to one point: the rectified flow's lines, and conditional OT paths that approach them](conditional_paths.png)

# %%
noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
for sigma_min in (0.5, 0.1, 0.01):
    point, slope = path_difference(sigma_min, noise, torch.zeros_like(noise))
    print(f"sigma_min {sigma_min:<5} ends {point:.4f} from the line, its velocity differs by {slope:.4f}")
(PICTURES / "conditional_paths.png").write_bytes(png(conditional_paths_figure((0.5, 0.1, 0.01))))

# %% [markdown]
# ## 2. Many lines cross; a field cannot
#
# Noise and data are paired at random. Where two lines cross, a velocity *field* has one value for both: the mean of
# the velocities there. Flow matching learns this mean by regression. Its trajectories reach the data, but are curved.

# %%
toy = TOYS["eight_gaussians"]
runtime = open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="off"), ONE_PROCESS)
settings = FlowConfig.model_validate(
    {
        "num_steps": NUM_STEPS, "batch_size": 256, "learning_rate": 2e-3, "lr_decay": "cosine", "warmup_steps": 50,
        "weight_decay": 0, "gradient_clip_norm": 1, "ema_halflife_images": 20000, "ema_rampup_ratio": 0.1,
        "log_every_steps": 500, "checkpoint_every_steps": 1000000, "seed": 0,
        "loss": {"name": "l2"}, "timesteps": {"name": "uniform"}, "coupling": "independent",
    }
)  # fmt: skip
work = TemporaryDirectory()
folder = Path(work.name)


class Points:
    """Data points as a training set."""

    def __init__(self, x_1: torch.Tensor) -> None:
        self.x_1 = x_1

    def __len__(self) -> int:
        return len(self.x_1)

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        return {"x_1": self.x_1[indices]}

    def locate(self, index: int) -> str:
        return f"point {index}"


def fit(name: str, network: torch.nn.Module, items, objective) -> Sampler:
    """Trains a network, saves it, and opens it as a sampler."""
    train(network, items, objective, settings, runtime, folder / f"run-{name}", name)
    save_student(network, folder / name)
    return load_sampler(folder / name, runtime)


architecture = MLPConfig(width=128, num_layers=3, fourier_octaves=3, longest_wavelength=16.0)
data = Points(toy.sample(20000, torch.Generator().manual_seed(0)))
network = build_network(architecture, (2,), 0)
flow = fit("flow", network, data, build_flow_matching(settings, runtime.device))

# %% [markdown]
# ## 3. Reflow: pair noise with what the flow makes of it
#
# The flow's trajectories cannot cross, so the lines between their ends rarely do. A student that regresses on *these*
# lines has almost straight trajectories.

# %%
couplings = CouplingsConfig(
    source="flow", num_pairs=NUM_PAIRS, solver=SolverConfig(name="euler", num_steps=50), batch_size=2000,
    shard_pairs=NUM_PAIRS, dtype="float32", seed=1,
)  # fmt: skip
generate_couplings(flow, couplings, folder / "runs", folder / "store")
pairs = CouplingStore(folder / "store")
round1 = fit("round1", network, pairs, build_reflow(settings, settings.loss, runtime.device))

# %% [markdown]
# ## 4. Distil: one step
#
# At t = 0 the network's input is noise alone. Regression on `x_1 - x_0` at t = 0 only gives a one-step sampler.

# %%
distilled = fit("distilled", network, pairs, FixedSteps(VelocityLoss(l2), num_steps=1))

# %% [markdown]
# ## 5. Distance to the data at 1, 4 and 50 steps

# %%
noise = sample_noise(stream_key("evaluation", 0), range(NUM_SAMPLES), (2,))
fresh = toy.sample(NUM_SAMPLES, torch.Generator().manual_seed(1)).numpy()
again = toy.sample(NUM_SAMPLES, torch.Generator().manual_seed(2)).numpy()
models = {"flow": flow, "round1": round1, "distilled": distilled}
distances: dict[str, list[float]] = {}
straightness: dict[str, float] = {}
for name, sampler in models.items():
    solvers = [SolverConfig(name="euler", num_steps=steps) for steps in (1, 4, 50)]
    points = [sampler.sample(noise, solver).x.numpy() for solver in solvers]
    distances[name] = [sliced_wasserstein(x, fresh, num_projections=64, seed=0) for x in points]
    with torch.inference_mode():
        straightness[name] = measure_trajectories(sampler.velocity_field(), noise, uniform_grid(50)).straightness
    print(f"{name:<10} 1, 4, 50 steps: {', '.join(f'{x:.3f}' for x in distances[name])}; S = {straightness[name]:.4f}")
floor = sliced_wasserstein(again, fresh, num_projections=64, seed=0)
print(f"two sets of fresh points are {floor:.3f} apart")

# %% [markdown]
# Lines on the left cross; the flow's trajectories bend around each other; after reflow they are straight.
#
# ![Independent pairs, the flow's trajectories, and those after reflow](straight_lines.png)

# %%
times = uniform_grid(40)
arrays = {}
for name in ("flow", "round1"):
    states, field = [noise[:60]], models[name].velocity_field()
    with torch.inference_mode():
        for start, end in itertools.pairwise(times):
            states.append(states[-1] + (end - start) * field(states[-1], torch.full((60,), start)))
    arrays[name] = {"times": np.array(times), "trajectories": torch.stack(states, dim=1).numpy()}
figure = trajectories_figure(arrays, toy, STANDARD_NOISE)
(PICTURES / "straight_lines.png").write_bytes(png(figure))
work.cleanup()
