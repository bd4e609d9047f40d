"""The command line ``straightflow``: the arguments and the help of each command.

What a command does is in the module of its name, imported only when the command is called, so that help and errors in
arguments do not wait for torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.config.section import LARGEST_SEED, MOST
from pipeline.config.solver import MOST_STEPS
from stages.commands.strict_command import StrictCommand
from stages.entry import PARAMS, one_message

MOST_UNROLLED = 64
"""Steps that `export` unrolls at most: each is a copy of the network's operations, about ten seconds of export."""
ExportFormat = Literal["onnx", "torch"]


def example(call: str) -> str:
    """The end of a command's help; the first character keeps its lines from being re-wrapped."""
    return f"\b\nExample:\n  {call}"


app = typer.Typer(
    help="Composes and checks a run, looks at it and draws from its models. Call it in the project's folder.",
    epilog=example("straightflow sample --help"),
    no_args_is_help=True,
    add_completion=False,
    # Plain text reads the same on a terminal, in a pipe and in a log.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Runs the command that the program's arguments name."""
    app(prog_name="straightflow")


def command(example_call: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a function the command of its name; help ends with ``example_call``, errors are reported like a stage's."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*arguments: object, **options: object) -> None:
            with one_message():
                function(*arguments, **options)

        app.command(cls=StrictCommand, epilog=example(example_call))(run)
        return run

    return register


def config() -> Config:
    """The configuration in the current folder."""
    return load_config(PARAMS)


def print_version(wanted: bool) -> None:
    """Prints the version of the package and ends the program."""
    if wanted:
        print(f"straightflow {version('straightflow')}")
        raise typer.Exit


@app.callback()
def straightflow(
    _: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Takes the options that stand before a command."""


@command("straightflow check")
def check() -> None:
    """Check configuration, images and teacher without training."""
    from stages.check import main as check_inputs

    check_inputs(config(), [])


@command("straightflow compose smoke -S data.seed=1")
def compose(
    preset: Annotated[str, typer.Argument(help="A file of configs/preset/, without .yaml.")] = "digits",
    set_: Annotated[
        list[str] | None,
        typer.Option("-S", "--set", metavar="KEY=VALUE", help="A setting to change; may be repeated."),
    ] = None,
) -> None:
    """Compose params.yaml from a preset.

    The keys that change are printed. A params.yaml that was edited by hand is kept beside it as params.yaml.bak.
    """
    from stages.commands.compose import compose_params

    compose_params(preset, set_ or [])


@command("straightflow forecast digits -S data.resolution=32")
def forecast(
    preset: Annotated[
        str | None,
        typer.Argument(help="A file of configs/preset/, without .yaml.", show_default="the run of params.yaml"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("-S", "--set", metavar="KEY=VALUE", help="A setting of the preset to change; may be repeated."),
    ] = None,
    total: Annotated[bool, typer.Option("--total", help="Print the line of the total alone.")] = False,
) -> None:
    """Print how long a run will take, before it is started.

    Every network of the run is called and trained for some seconds. Memory, disk and what several processes would save
    are printed as well. Nothing is written.
    """
    from stages.commands.forecast import configuration, print_forecast

    if preset is None and set_:
        raise typer.BadParameter("settings change a preset; name it before them", param_hint="-S")
    print_forecast(config() if preset is None else configuration(preset, set_ or []), only_total=total)


@command("straightflow show")
def show() -> None:
    """Print every model's quality at every step count.

    The last line says where the report is.
    """
    from stages.commands.show import show_results

    show_results(config())


@command("straightflow watch")
def watch(
    once: Annotated[bool, typer.Option("--once", help="Print one view and exit.")] = False,
) -> None:
    """Show what the run in progress does, until it ends.

    Stage, rate, time left, loss and the newest quick FID, read from files: from any terminal, also over ssh, and also
    of runs that DVC's queue started.
    """
    from stages.commands.watch import watch_run

    watch_run(once=once)


@command("straightflow sample few_step --steps 4 --num 64 --out grid.png")
def sample(
    model: Annotated[str, typer.Argument(help="A name under models/, or the folder of any saved model.")],
    out: Annotated[
        Path, typer.Option(help="A .png; with --trajectory also a .gif; with --files a folder.", show_default=False)
    ],
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_STEPS, help="Steps of the solver; dopri5 takes none.", show_default="1"),
    ] = None,
    num: Annotated[int, typer.Option(min=1, max=MOST, help="Images.")] = 64,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the noise; 0 is that of the report's samples.")
    ] = 0,
    solver: Annotated[
        str | None,
        typer.Option(help="A solver of the model's ODE.", show_default="euler of a student, unipc of a teacher"),
    ] = None,
    grid: Annotated[
        str, typer.Option(help="Times of the steps: uniform, cosine or edm; for a teacher uniform or quadratic.")
    ] = "uniform",
    tolerance: Annotated[
        float | None, typer.Option(help="rtol and atol of dopri5, above 0.", show_default="1e-05")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MOST, help="Images per network call; a trajectory takes all at once.")
    ] = 250,
    condition: Annotated[
        int | None,
        typer.Option(help="Class of all images, of a class-conditional model.", show_default="drawn as in its data"),
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="Write one PNG per image into the folder --out.")] = False,
    trajectory: Annotated[
        bool, typer.Option("--trajectory", help="Show x_t at every step: a row for each image, or a GIF.")
    ] = False,
) -> None:
    """Draw images from any saved model.

    They become one grid, one file each, or with --trajectory the states from noise to image.
    """
    from stages.commands.sample import SampleOptions, write_samples

    write_samples(
        config().compute,
        SampleOptions(
            model=model,
            out=out,
            steps=steps,
            num=num,
            seed=seed,
            solver=solver,
            grid=grid,
            tolerance=tolerance,
            batch_size=batch_size,
            condition=condition,
            files=files,
            trajectory=trajectory,
        ),
    )


@command("straightflow demo few_step teacher")
def demo(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names under models/, or folders of saved models.",
            metavar="[NAME]...",
            show_default="all trained ones of the run",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 127.0.0.1 can be reached from this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 for any free one.")] = 7860,
) -> None:
    """Draw from several models side by side on a local page.

    All draw from one noise, with sliders for steps and seed; under each image is the time that it took. Nothing is
    uploaded or reported, and the page asks no other machine. It needs the extra `demo`.
    """
    from stages.commands.demo.command import run_demo

    run_demo(config(), models or (), host, port)


@command("straightflow compare HEAD~1 HEAD")
def compare(
    a: Annotated[str, typer.Argument(help="A folder where the pipeline ran, a git revision or a DVC experiment.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    more: Annotated[
        list[str] | None, typer.Argument(help="Further ones.", metavar="[C]...", show_default=False)
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="An .html to write: images, curves and every cell of all runs.")
    ] = None,
) -> None:
    """Print the FIDs of runs beside those of the first.

    Each line says which run is better, or that the difference is within the spread. With --page they are also written
    on one page.
    """
    from stages.commands.compare import compare_runs

    compare_runs((a, b, *(more or ())), page)


@command("straightflow inspect couplings/round1")
def inspect(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A folder of couplings or the store in it; leave it out to list unfinished work."),
    ] = None,
) -> None:
    """Print what a store of couplings holds and check its hashes.

    Pairs of noise and image are drawn to runs/inspect/. Without a folder, list the unfinished stores and trainings in
    runs/ and the couplings or model that each belongs to.
    """
    from stages.commands.inspect import inspect_store, list_unfinished

    if folder is None:
        settings = config()
        print(list_unfinished(settings.couplings, settings.models))
    else:
        inspect_store(folder)


@command("straightflow checkpoints round1 --steps 1 --steps 4 --num-samples 1000 --out models/best")
def checkpoints(
    model: Annotated[str, typer.Argument(help="A name under students.")],
    steps: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=MOST_STEPS, help="Euler steps; may be repeated, the first one decides.", show_default="1, 4"
        ),
    ] = None,
    num_samples: Annotated[int, typer.Option(min=1, max=MOST, help="Images per FID.")] = 1000,
    out: Annotated[
        Path | None,
        typer.Option(help="New or empty folder to save the best as a student in, or a student's to replace."),
    ] = None,
) -> None:
    """Print the few-step FID of a student's checkpoints.

    Every weight average of every checkpoint in runs/ is measured, while the training runs or after it was stopped. With
    --out the best is saved.
    """
    from stages.commands.checkpoints import choose_checkpoint

    choose_checkpoint(config(), model, tuple(steps or (1, 4)), num_samples, out)


@command("straightflow publish few_step --license apache-2.0 --data-license cc-by-4.0 --to ./few_step")
def publish(
    model: Annotated[str, typer.Argument(help="A name under models/.")],
    to: Annotated[
        str | None,
        typer.Option(help="A folder, or owner/name on the hub, with your own login.", show_default="published/MODEL"),
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="License of the model, as the hub lists it.")
    ] = None,
    data_license: Annotated[str | None, typer.Option(help="License of the data.")] = None,
    teacher_license: Annotated[str | None, typer.Option(help="License of a pretrained teacher.")] = None,
    autoencoder_license: Annotated[
        str | None, typer.Option(help="License of an autoencoder that was brought along.")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="Id of the teacher on the hub.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Id of the data set on the hub; may be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what was published there before.")] = False,
    space: Annotated[
        bool, typer.Option("--space", help="Add the files of a Space that draws with the model, in space/.")
    ] = False,
) -> None:
    """Publish a model with its card.

    The folder is a whole repository of the hub: stock diffusers files, model card, figures, provenance, hashes.
    """
    from stages.commands.publish import PublishOptions, publish_model

    publish_model(
        config(),
        PublishOptions(
            model=model,
            to=to,
            license=license_,
            data_license=data_license,
            teacher_license=teacher_license,
            autoencoder_license=autoencoder_license,
            base_model=base_model,
            datasets=tuple(dataset or ()),
            force=force,
            space=space,
        ),
    )


@command("straightflow export few_step --format onnx --steps 4")
def export(
    model: Annotated[str, typer.Argument(help="A student's name under models/, or the folder of any saved one.")],
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="torch: a program of torch.export. onnx: a graph for onnxruntime.")
    ] = "torch",
    steps: Annotated[int, typer.Option(min=1, max=MOST_UNROLLED, help="Euler steps, unrolled.")] = 1,
    batch: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Images that it draws at once.", show_default="any number")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder; an earlier export is replaced.", show_default="exported/MODEL-FORMAT")
    ] = None,
) -> None:
    """Export a student as one file that needs no network code.

    It maps noise, and classes where there are such, to images, in float32 on the CPU. It is compared with the student
    before it is put in place; code that draws with it is printed.
    """
    from stages.commands.export import ExportOptions, export_student

    export_student(ExportOptions(model=model, format=format_, steps=steps, batch=batch, out=out))


@command("straightflow clean --yes")
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Delete what is listed.")] = False,
) -> None:
    """List what runs/ and DVC's cache keep for nothing, with sizes.

    In runs/ that is what a run of the present params.yaml would neither go on with nor reuse: checkpoints, unfinished
    couplings, measured cells and statistics of real images. In DVC's cache it is what neither the workspace nor a
    commit or an experiment names. Whatever no stage wrote stays, and so does what a running process is at work in.
    """
    from stages.commands.clean import clean as clean_up

    clean_up(config(), delete=yes)
