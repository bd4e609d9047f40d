"""The page in headless Chromium: silent console, no request, a slider that works."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.html_page import Page
from helpers.small_image_results import FID, STEPS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# Moves the slider to its last place and notes what then shows, on the document's root.
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
  root.dataset.words = document.getElementById("chosen").textContent;
  const requests = performance.getEntriesByType("resource").filter((item) => !item.name.startsWith("data:"));
  root.dataset.requests = requests.length;
  root.dataset.broken = [...document.images].filter((item) => item.complete && !item.naturalWidth).length;
  root.dataset.wider = document.body.scrollWidth > innerWidth;
});
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; it is no Python package")
@pytest.mark.parametrize("size", ["1200,900", "500,900"])  # headless windows are no narrower than 500 pixels
def test_the_page_works_in_a_browser(page: str, tmp_path: Path, size: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", f"{PROBE}</body>"), "utf-8")
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size}", "--virtual-time-budget=3000"),
            *("--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r".*CONSOLE.*", done.stderr) == []
    root = Page(done.stdout.strip()).all("html")[0]
    assert root["data-first"] == ",".join([str(STEPS[0])] * len(FID))
    assert root["data-last"] == ",".join([str(STEPS[-1])] * len(FID))
    assert root["data-words"] == f"{STEPS[-1]} steps"
    assert (root["data-requests"], root["data-broken"], root["data-wider"]) == ("0", "0", "false")
