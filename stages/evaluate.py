"""Measures one model at every step count."""

from __future__ import annotations

from safetensors.numpy import save_file

from pipeline.config.graph import Config
from pipeline.evaluation.measure import open_measure
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.atomic import atomic_file, write_json
from stages import paths
from stages.code import code_of
from stages.entry import run, single_argument


def main(config: Config, arguments: list[str]) -> None:
    """Writes metrics/evaluate/<model>.json and samples/<model>.safetensors."""
    name = single_argument(arguments, "a model", config.models)
    runtime = open_runtime(config.compute, config.launch)
    measure = open_measure(config, runtime, paths.measuring(), code=code_of("evaluate"))
    content, arrays = measure.evaluate(load_sampler(paths.model(name), runtime), name)
    if runtime.is_main:
        with atomic_file(paths.samples(name)) as temporary:
            save_file(arrays, temporary, metadata={"model": name})
        write_json(paths.evaluation(name), content | {"device": runtime.describe(), "precision": runtime.precision})


if __name__ == "__main__":
    run(main)
