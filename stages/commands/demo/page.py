"""The page: sliders, a button, and one panel for each model."""

from __future__ import annotations

import gradio as gr

from pipeline.system.errors import StraightflowError
from stages.commands.demo.models import MOST_STUDENT_STEPS, SideBySide
from stages.commands.demo.panel import LARGEST_SIDE, draw_panel

LARGEST_SLIDER_SEED = 9999
USUAL_TEACHER_STEPS = 10
OF_THE_NOISE = -1
"""Choice of the class that goes with the noise, as `straightflow sample` draws it."""


def build_page(models: SideBySide) -> gr.Blocks:
    """The page of these models; every drawing of it draws all of them, one after the other."""

    def draw(student_steps: float, teacher_steps: float, seed: float, label: int) -> list[str]:
        return [
            _panel_or_error(
                models,
                name,
                int(student_steps if sampler.noise_schedule is None else teacher_steps),
                int(seed),
                None if label == OF_THE_NOISE else label,
            )
            for name, sampler in models.samplers.items()
        ]

    # Nothing about its use is sent anywhere.
    with gr.Blocks(title="straightflow", analytics_enabled=False) as page:
        gr.Markdown(
            "# Images of one noise\n"
            "The time under each is that of one image from noise to pixels, alone in its batch, on this machine."
        )
        inputs = _inputs(models)
        button = gr.Button("Draw", variant="primary")
        with gr.Row():
            panels = [_panel() for _ in models.samplers]
        student_steps, teacher_steps, seed, label = inputs
        gr.on(
            [page.load, button.click, student_steps.release, teacher_steps.release, seed.release, label.input],
            draw,
            inputs,
            panels,
            api_visibility="private",
            # Times are those of one drawing at a time.
            concurrency_limit=1,
            trigger_mode="always_last",
        )
    return page


def _panel() -> gr.HTML:
    """A place for one model; those that a window is too narrow for go below."""
    with gr.Column(min_width=LARGEST_SIDE):
        return gr.HTML()


def _inputs(models: SideBySide) -> tuple[gr.Slider, gr.Slider, gr.Slider, gr.Dropdown]:
    """Steps of the students and of the teacher, seed, class; what the models have no use for is not shown."""
    most = models.most_teacher_steps
    with gr.Row():
        student_steps = gr.Slider(
            1, MOST_STUDENT_STEPS, 1, step=1, label="Steps of students", visible=models.has_students
        )
        teacher_steps = gr.Slider(
            1,
            most or 1,
            min(USUAL_TEACHER_STEPS, most or 1),
            step=1,
            label="Steps of the teacher",
            visible=most is not None,
        )
        seed = gr.Slider(0, LARGEST_SLIDER_SEED, 0, step=1, label="Seed of the noise")
        classes = [(str(label), label) for label in range(models.num_conditions or 0)]
        label = gr.Dropdown(
            [("that of the noise", OF_THE_NOISE), *classes], value=OF_THE_NOISE, label="Class", visible=bool(classes)
        )
    return student_steps, teacher_steps, seed, label


def _panel_or_error(models: SideBySide, name: str, num_steps: int, seed: int, label: int | None) -> str:
    try:
        return draw_panel(name, models.samplers[name], num_steps, seed, label)
    except StraightflowError as error:
        raise gr.Error(f"{name}: {error}", print_exception=False, duration=None) from error
