"""The page in headless Chromium: silent console, no request, and what a reader sees, points at and moves."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from helpers.browser import CHROMIUM, needs_chromium
from helpers.html_page import Page
from helpers.small_image_results import COUPLINGS, FID, MODELS, STEPS, STUDENTS, write_run

from pipeline.report.images.results import load_results
from pipeline.report.images.samples import load_samples
from pipeline.report.runs_page import Run, render_runs_page
from pipeline.report.theme import DARK, LIGHT, Theme

# Notes what a page of any kind may not do, on the document's root.
NOTES = """
<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const requests = performance.getEntriesByType("resource").filter((item) => !item.name.startsWith("data:"));
  root.dataset.requests = requests.length;
  root.dataset.broken = [...document.images].filter((item) => item.complete && !item.naturalWidth).length;
  root.dataset.wider = document.body.scrollWidth > innerWidth;
});
</script>
"""

# Points at a step count, moves the slider to its last place and notes what then shows, on the document's root.
PROBE = """
<script>
addEventListener("load", () => {
  const root = document.documentElement, slider = document.getElementById("steps");
  const shown = () => [...document.querySelectorAll("#viewer figure")].filter((item) => item.checkVisibility())
    .map((item) => item.dataset.count).join();
  root.dataset.first = shown();
  slider.value = slider.max;
  slider.dispatchEvent(new Event("input"));
  root.dataset.last = shown();
  const view = document.getElementById("trajectories"), time = document.getElementById("time");
  const films = [...view.querySelectorAll(".film")], inside = (item) => item.getBoundingClientRect();
  // Which of the nine frames of each film shows.
  const frames = () => [...new Set(films.map((item) => {
    const all = inside(item.firstChild), one = inside(item);
    return [9 * (one.left - all.left) / all.width, all.width / one.width].map((number) => number.toFixed(2)).join();
  }))].join(" ");
  root.dataset.firstFrame = frames();
  time.value = 3;
  time.dispatchEvent(new Event("input"));
  root.dataset.fourthFrame = frames();
  root.dataset.time = document.getElementById("at").textContent + " " + time.getAttribute("aria-valuetext");
  root.dataset.filmRendering = [...new Set([...view.querySelectorAll("img")].map((item) =>
    getComputedStyle(item).imageRendering))].join();
  root.dataset.level = new Set([films[0], films[2]].map((item) => Math.round(inside(item).top))).size === 1;
  root.dataset.filmWidth = Math.min(...films.map((item) => inside(item).width));
  root.dataset.words = document.getElementById("chosen").textContent;
  root.dataset.ground = getComputedStyle(document.body).backgroundColor;
  const panels = [...document.querySelectorAll(".side-by-side img")], box = (item) => item.getBoundingClientRect();
  const boxes = panels.map(box);
  root.dataset.rendering = [...new Set(panels.map((item) => getComputedStyle(item).imageRendering))].join();
  root.dataset.narrowest = Math.min(...boxes.map((item) => item.width));
  root.dataset.beside = boxes[0].top === boxes[1].top;
  root.dataset.fold = boxes[0].bottom <= innerHeight;
  const strips = [...document.querySelectorAll(".readings li")], values = strips.map((item) => item.firstChild);
  const seen = () => values.map((item) => getComputedStyle(item).opacity).join("");
  root.dataset.before = seen();
  root.dataset.inside = values.map(box).every((item) => item.left >= 0 && item.right <= innerWidth);
  strips[1].focus();
  root.dataset.focused = document.activeElement === strips[1];
  // A headless window may have no focus yet, and then nothing is in :focus. What hides values must be this rule alone.
  const sheet = document.styleSheets[0], rules = [...sheet.cssRules].map((rule) => rule.selectorText || "");
  const hiding = rules.findIndex((selector) => selector.includes("li:not(:hover, :focus) .values"));
  if (hiding >= 0) sheet.deleteRule(hiding);
  root.dataset.after = seen();
});
</script>
"""


at_both_sizes = pytest.mark.parametrize(
    ("size", "theme"),
    [("1200,900", LIGHT), ("500,900", DARK)],  # headless windows are no narrower than 500 pixels
)


def noted(page: str, probe: str, folder: Path, size: str, theme: Theme) -> dict[str, str | None]:
    """Attributes of the root of a page that was opened in a window; fails if the page asks, breaks or says anything."""
    file = folder / "opened.html"
    file.write_text(page.replace("</body>", f"{NOTES}{probe}</body>"), "utf-8")
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={folder / 'profile'}", f"--window-size={size}", "--virtual-time-budget=3000"),
            *(f"--blink-settings=preferredColorScheme={int(theme is LIGHT)}", "--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r".*CONSOLE.*", done.stderr) == []
    root = Page(done.stdout.strip()).all("html")[0]
    assert (root["data-requests"], root["data-broken"], root["data-wider"]) == ("0", "0", "false")
    return root


@needs_chromium
@at_both_sizes
def test_the_page_works_in_a_browser(page: str, tmp_path: Path, size: str, theme: Theme) -> None:
    root = noted(page, PROBE, tmp_path, size, theme)
    assert root["data-ground"] == f"rgb{tuple(bytes.fromhex(theme.background[1:]))}"
    assert (root["data-rendering"], root["data-beside"], root["data-fold"]) == ("pixelated", "true", "true")
    assert float(root["data-narrowest"] or 0) > 200
    assert (root["data-before"], root["data-after"]) == ("000", "111")
    assert (root["data-focused"], root["data-inside"]) == ("true", "true")
    assert root["data-first"] == ",".join([str(STEPS[0])] * len(FID))
    assert root["data-last"] == ",".join([str(STEPS[-1])] * len(FID))
    assert (root["data-first-frame"], root["data-fourth-frame"]) == ("0.00,9.00", "3.00,9.00")
    assert root["data-time"] == "t = 0.375 t = 0.375"
    assert (root["data-film-rendering"], root["data-level"]) == ("pixelated", "true")
    assert float(root["data-film-width"] or 0) > 40
    assert root["data-words"] == f"{STEPS[-1]} steps"


@needs_chromium
@at_both_sizes
def test_a_page_of_several_runs_works_in_a_browser(tmp_path: Path, size: str, theme: Theme) -> None:
    write_run(tmp_path)
    rows, cells = load_results(tmp_path, MODELS, COUPLINGS, STUDENTS).rows, load_samples(tmp_path, MODELS)
    runs = [Run(name, rows, cells) for name in ("first", "a/long/path/to/" + "x" * 60, "third")]
    noted(render_runs_page(runs), "", tmp_path, size, theme)
