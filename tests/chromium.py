"""Debian's Chromium without a window, driven by the DevTools protocol.

python -m tests.chromium URL PICTURE [TEXT ...]     the page, after a click on the expander of each run named TEXT
"""

import asyncio
import base64
import contextlib
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.servers.program import Program
from tests.waiting import STANDING_STILL_SECONDS, wait_for

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on the PATH")
ALONE = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--remote-debugging-port=0")
# MLflow's UI opens a panel for its assistant over a third of the page when a browser comes for the first time.
NO_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
EXPAND = """(() => {
  const rows = [...document.querySelectorAll(".ag-row")].filter(row => row.textContent.includes(%s));
  const button = rows.flatMap(row => [...row.querySelectorAll("button:has(svg)")])
    .find(button => (button.dataset.componentId ?? "").includes("runnamecellrenderer"));
  if (button) button.click();
  return Boolean(button)})()"""


class Page:
    """A page that is open in the browser."""

    def __init__(self, runner: asyncio.Runner, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._runner = runner
        self._socket = socket
        self._calls = 0
        self.call("Page.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=f"try {{ {NO_ASSISTANT} }} catch {{}}")

    def open(self, url: str) -> None:
        """Go to an address as if there had been no page before: MLflow's pages are all one document."""
        for address in ("about:blank", url):
            self.call("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> Any:
        """Return the value of an expression as soon as it is true."""

        def text() -> str:
            return str(self.evaluate("document.body?.innerText"))

        return wait_for(lambda: self.evaluate(expression), text, lambda: f"{expression}\n{text()}")

    def until_shown(self, *texts: str) -> None:
        """Return once the page shows every text, in which a space may be the end of a line."""
        for text in texts:
            self.until(f"document.body?.innerText.replaceAll('\\n', ' ').includes({json.dumps(text)})")

    def expand(self, run: str) -> None:
        """Show what is nested in a run of MLflow's list."""
        self.until(EXPAND % json.dumps(run))

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command of the protocol, and return its result."""
        return self._runner.run(self._call(method, parameters))

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while True:
            answer = await self._socket.receive_json(timeout=STANDING_STILL_SECONDS)
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                return dict(answer["result"])


@contextlib.contextmanager
def chromium(width: int = 1500, height: int = 900, scale: float = 1) -> Iterator[Page]:
    """Yield a browser with one page, ``width`` by ``height`` pixels, each drawn as ``scale`` squared."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, asyncio.Runner() as runner:
        size = (f"--window-size={width},{height}", f"--force-device-scale-factor={scale}")
        command = ["chromium", *ALONE, *size, f"--user-data-dir={profile}", "about:blank"]
        port_file = Path(profile) / "DevToolsActivePort"
        with Program(command, Path(profile), "chromium.txt") as program:
            program.until(lambda: port_file.exists() and port_file.read_text().strip())
            port = port_file.read_text().split()[0]
            session, socket = runner.run(_connect(program.until(lambda: _address_of_page(port))))
            yield Page(runner, socket)
            runner.run(session.close())


def _address_of_page(port: str) -> str:
    """Return where the page can be driven; an empty text while there is none."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
        return "".join(target["webSocketDebuggerUrl"] for target in json.load(answer) if target["type"] == "page")
    return ""


async def _connect(address: str) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    session = aiohttp.ClientSession()
    return session, await session.ws_connect(address, max_msg_size=0)


def main(url: str, picture: str, *runs: str) -> None:
    """Take the picture that the head of this file describes."""
    with chromium(1320, 900, scale=1.5) as page:
        page.open(url)
        for run in runs:
            page.expand(run)
        time.sleep(5)  # for the rows to be drawn
        page.picture(Path(picture))
    Image.open(picture).convert("RGB").quantize(128).save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
