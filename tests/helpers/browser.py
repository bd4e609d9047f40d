"""Headless Chromium, driven over its own pipe: no driver and no package is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; it is no Python package")
PATIENCE_MILLISECONDS = 300_000
"""Much more than anything takes, for machines that are busy with other work."""


class Tab:
    """One open page.

    Attributes:
        requested: Address of every request so far.
        console: What errors and warnings said so far.
    """

    def __init__(self, to_browser: BinaryIO, from_browser: BinaryIO) -> None:
        self._to, self._from = to_browser, from_browser
        self._session: str | None = None
        self._number = 0
        self.requested: list[str] = []
        self.console: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Result of a command of the DevTools protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        for answer in self._messages():
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
        raise AssertionError("Chromium ended")

    def value(self, expression: str) -> Any:
        """Value of a JavaScript expression, awaited."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def until(self, condition: str) -> None:
        """Waits until a JavaScript expression is true, or the patience is over."""
        held = self.value(
            f"""new Promise(resolve => {{
                const end = performance.now() + {PATIENCE_MILLISECONDS};
                const look = () => ({condition}) ? resolve(true) : performance.now() > end ? resolve(false)
                    : requestAnimationFrame(look);
                look();
            }})"""
        )
        assert held, f"{condition} in {self.value('document.body.innerText')}"

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key of the keyboard, where the focus is."""
        shared = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            read = bytearray()
            while (byte := self._from.read(1)) not in (b"", b"\0"):
                read += byte
            if not read:
                return
            message = json.loads(read)
            self._note(message.get("method"), message.get("params", {}))
            yield message

    def _note(self, event: str | None, content: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requested.append(content["request"]["url"])
        elif event == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.console.append(f"{content['entry']['text']} {content['entry'].get('url', '')}")
        elif event == "Runtime.exceptionThrown":
            self.console.append(json.dumps(content["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            self.console.append(json.dumps(content["args"]))


@contextmanager
def open_tab(folder: Path, size: str = "1200,900", *, dark: bool = False) -> Iterator[Tab]:
    """An empty tab that finds this machine alone; ``folder`` holds the browser's profile."""
    read_by_browser, to_browser = os.pipe()
    from_browser, written_by_browser = os.pipe()
    arguments = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
        *(f"--user-data-dir={folder / 'profile'}", f"--window-size={size}"),
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    # The browser reads its commands from file 3 and writes to file 4.
    program = f'exec 3<&{read_by_browser} 4>&{written_by_browser}; exec "$@"'
    browser = subprocess.Popen(
        ["bash", "-c", program, "bash", *arguments],
        pass_fds=(read_by_browser, written_by_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_by_browser)
    os.close(written_by_browser)
    try:
        with os.fdopen(to_browser, "wb") as to, os.fdopen(from_browser, "rb") as read:
            yield Tab(to, read)
    finally:
        browser.terminate()
        browser.wait()
