"""The demo: what it draws, which models it takes, and its page in headless Chromium."""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from helpers.browser import Tab, needs_chromium, open_tab
from helpers.command_line import printed, refusal
from helpers.html_page import Page
from helpers.project_folders import ROOT
from helpers.small_unet import small_unet

from pipeline.config.loading import load_config
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.student import save_student
from stages.commands.demo.models import open_side_by_side
from stages.commands.demo.panel import draw_panel

SEED = 5
STEPS = {"round1": 3, "teacher": 6}


@pytest.fixture
def models(project: Path) -> Path:
    """A project with a trained teacher, and a student of three classes."""
    save_teacher(small_unet(), project / "models/teacher", training_scheduler())
    save_student(small_unet(num_class_embeds=3), project / "models/round1")
    return project


def written_by_sample(name: str, steps: int, seed: int) -> bytes:
    """The file that ``straightflow sample`` writes for one image."""
    out = Path("drawn") / f"{name}-{steps}-{seed}"
    printed("sample", name, "--steps", str(steps), "--seed", str(seed), "--num", "1", "--files", "--out", str(out))
    return (out / "000000.png").read_bytes()


def png_of(source: str) -> bytes:
    return base64.b64decode(source.removeprefix("data:image/png;base64,"))


@pytest.mark.usefixtures("models")
def test_a_panel_shows_the_file_that_sample_writes_enlarged_by_whole_pixels_and_its_time() -> None:
    found = open_side_by_side(load_config(Path("params.yaml")), ())
    assert tuple(found.samplers) == ("teacher", "round1")  # those of the run that are trained
    assert (found.num_conditions, found.most_teacher_steps, found.has_students) == (3, 100, True)
    for name, steps in STEPS.items():
        html = draw_panel(name, found.samplers[name], steps, SEED, None)
        (image,) = Page(html).all("img")
        assert png_of(image["src"] or "") == written_by_sample(name, steps, SEED)
        assert (image["width"], image["height"], image["style"]) == ("256", "256", "image-rendering: pixelated")
        assert (image["alt"] or "").startswith(f"Image that {name} draws in {steps} steps from noise {SEED}")
        assert re.search(r"<strong>[\d,]+\.\d ms</strong>", html)
    # A class is for models that have classes.
    assert "in 1 step from noise 5, class 2" in draw_panel("round1", found.samplers["round1"], 1, SEED, 2)
    assert "class" not in draw_panel("teacher", found.samplers["teacher"], 1, SEED, 2)


@pytest.mark.usefixtures("models")
def test_models_of_other_images_or_classes_and_names_of_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    save_student(small_unet(3), Path("models/coloured"))
    assert "round1 1×8×8, coloured 3×8×8" in refusal("demo", "round1", "coloured")
    save_student(small_unet(num_class_embeds=4), Path("models/other"))
    assert "round1 3, other 4" in refusal("demo", "round1", "other")
    assert "did you mean 'round1'?" in refusal("demo", "round")


@pytest.mark.usefixtures("project")
def test_before_anything_is_trained_or_installed_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    assert "dvc repro" in refusal("demo")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "pip install -e '.[demo]'" in refusal("demo")


@pytest.mark.usefixtures("models")
def test_an_address_that_cannot_be_listened_at_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in refusal("demo", "round1", "--port", str(port))
    assert "192.0.2.1:0" in refusal("demo", "round1", "--host", "192.0.2.1", "--port", "0")  # RFC 5737: nobody's


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of the demo of a project's models, run as a user does; nothing of it runs on when it is told to end."""
    call = [sys.executable, "-m", "stages.commands", "demo", *STEPS, "--port", "0"]
    # One thread, as in the calls that it is compared with.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    demo = subprocess.Popen(
        call, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert demo.stdout is not None
    try:
        yield next(found[0] for line in demo.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
    finally:
        demo.terminate()
        demo.wait()
        with suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)
            pytest.fail("a process that the demo started runs on")


def shown(tab: Tab) -> dict[str, bytes]:
    """PNG files of the page by the model's name."""
    found = "[...document.querySelectorAll('figure')].map(item => [item.querySelector('h2').textContent, "
    return {name: png_of(source) for name, source in tab.value(found + "item.querySelector('img').src])")}


def slide(tab: Tab, label: str, value: int) -> None:
    """Types a value beside a slider."""
    tab.value(
        f"""(() => {{
            const box = [...document.querySelectorAll("input[type=number]")]
                .find(item => item.getAttribute("aria-label").includes({label!r}));
            box.focus();
            box.value = {value};
            box.dispatchEvent(new Event("input", {{bubbles: true}}));
            box.dispatchEvent(new Event("change", {{bubbles: true}}));
        }})()"""
    )


@needs_chromium
@pytest.mark.usefixtures("one_thread")
def test_a_click_draws_what_sample_draws_and_nothing_leaves_the_machine(models: Path, tmp_path: Path) -> None:
    with served(models) as address, open_tab(tmp_path / "browser") as tab:
        tab.call("Page.navigate", url=address)
        tab.until(f"document.querySelectorAll('figure img').length == {len(STEPS)}")
        assert shown(tab)["round1"] == written_by_sample("round1", 1, 0)
        slide(tab, "Steps of students", STEPS["round1"])
        slide(tab, "Steps of the teacher", STEPS["teacher"])
        slide(tab, "Seed of the noise", SEED)
        tab.value("[...document.querySelectorAll('button')].find(item => item.textContent.trim() == 'Draw').focus()")
        tab.press("Enter", 13, "\r")  # what a click does, from the keyboard
        ready = "[...document.querySelectorAll('figure img')].every(item => item.alt.includes('noise 5'))"
        tab.until(f"{ready} && document.querySelectorAll('figure img').length == {len(STEPS)}")
        assert shown(tab) == {name: written_by_sample(name, steps, SEED) for name, steps in STEPS.items()}
        sizes = "[...document.querySelectorAll('figure img')].map(item => [item.width, getComputedStyle(item)"
        assert tab.value(f"{sizes}.imageRendering])") == [[256, "pixelated"]] * len(STEPS)
        tab.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=2, mobile=True)
        tab.until("innerWidth == 360")
        boxes = tab.value(
            "[...document.querySelectorAll('figure img')].map(item => item.getBoundingClientRect())"
            ".map(box => [box.left, box.right, box.top, box.bottom])"
        )
        assert all(left >= 0 and right <= 360 for left, right, _, _ in boxes)
        assert boxes[0][3] <= boxes[1][2]  # one below the other
        assert [url for url in tab.requested if not url.startswith((f"{address}/", "data:"))] == []
        assert tab.console == []
