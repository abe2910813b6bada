"""A real Chromium that a test clicks in, driven by W3C WebDriver (chromedriver).

with Browser(folder) as browser:
    browser.open(url)
    browser.press("Log in")
    browser.shows("Logged in")
"""

import base64
import io
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import pytest
from PIL import Image

from tests.peers.patience import PATIENCE_S, until
from tests.peers.ports import free_port, listens, wait_until

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, web element identifier


class Browser:
    """A browser with a profile of its own in ``folder``. A context manager; skips the test where there is none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._session = ""

    def __enter__(self) -> Self:
        driver, browser = shutil.which("chromedriver"), shutil.which("chromium")
        if driver is None or browser is None:
            pytest.skip("package chromium-driver is not installed")
        self._driver = subprocess.Popen(
            [driver, f"--port={self._port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: listens(self._port), process=self._driver, what="chromedriver")
        options = {
            "binary": browser,
            "args": [
                *("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000"),
                *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
                f"--user-data-dir={self._folder}",
            ],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}, "acceptInsecureCerts": True}
        self._session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(PATIENCE_S)

    def open(self, url: str) -> None:
        """Load a page."""
        self._ask("POST", "/url", {"url": url})

    @property
    def text(self) -> str:
        """What the page shows; "" while it is being loaded."""
        try:
            return str(self._ask("GET", f"/element/{self._find('body')}/text"))
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:  # W3C WebDriver 6.6: no such element, or one of the page before
                raise
            return ""

    def shows(self, words: str) -> bool:
        """Whether the page shows these words, once it is loaded."""
        return until(lambda: words in self.text)

    @property
    def complaints(self) -> list[str]:
        """What the browser complained of since it was asked last."""
        return [str(each["message"]) for each in self._ask("POST", "/se/log", {"type": "browser"})]

    def write(self, field: str, text: str) -> None:
        """Type into the field of this name."""
        self._ask("POST", f"/element/{self._find(f'input[name={field}]')}/value", {"text": text})

    def press(self, label: str) -> None:
        """Press the button or link that is called so."""
        path = f"//*[self::button or self::a][@aria-label='{label}' or normalize-space()='{label}']"
        self._ask("POST", f"/element/{self._find(path, 'xpath')}/click", {})

    def picture(self) -> Image.Image:
        """Return the window as it looks."""
        return Image.open(io.BytesIO(base64.b64decode(self._ask("GET", "/screenshot")))).convert("RGB")

    def _find(self, what: str, using: str = "css selector") -> str:
        return str(self._ask("POST", "/element", {"using": using, "value": what})[_ELEMENT])

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        session = f"/{self._session}" if self._session else ""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/session{session}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)["value"]
