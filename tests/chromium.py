"""Debian's Chromium without a window, driven by the DevTools protocol.

python tests/chromium.py URL PICTURE [TEXT ...]     the page, after a click on the expander of each run named TEXT
"""

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
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

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on the PATH")
ALONE = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--remote-debugging-port=0")
START_SECONDS = 60
# MLflow's UI opens a panel for its assistant over a third of the page when a browser comes for the first time.
NO_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
EXPAND = """(() => {
  const rows = [...document.querySelectorAll(".ag-row")].filter(row => row.textContent.includes(%s));
  const button = rows.flatMap(row => [...row.querySelectorAll("button:has(svg)")])
    .find(button => (button.dataset.componentId ?? "").includes("runnamecellrenderer"));
  if (button) button.click();
  return Boolean(button)})()"""


class Page:
    """One page."""

    def __init__(self, runner: asyncio.Runner, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._runner = runner
        self._socket = socket
        self._calls = 0
        self.call("Page.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=f"try {{ {NO_ASSISTANT} }} catch {{}}")

    def open(self, url: str) -> None:
        """Go to an address, as if there had been no page before: MLflow's are all one document."""
        for address in ("about:blank", url):
            self.call("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 40) -> Any:
        """The value of an expression, as soon as it is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}\n{self.evaluate('document.body?.innerText')}"
            time.sleep(0.1)
        return value

    def expand(self, run: str) -> None:
        """Show what is nested in a run of MLflow's list."""
        self.until(EXPAND % json.dumps(run))

    def picture(self, file: Path) -> None:
        """Write what is seen as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its result."""
        return self._runner.run(self._call(method, parameters))

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while True:
            answer = await self._socket.receive_json(timeout=60)
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                return dict(answer["result"])


@contextlib.contextmanager
def chromium(width: int = 1500, height: int = 900, scale: float = 1) -> Iterator[Page]:
    """A browser with one page, ``width`` by ``height`` pixels, each drawn as ``scale`` squared."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, asyncio.Runner() as runner:
        size = (f"--window-size={width},{height}", f"--force-device-scale-factor={scale}")
        command = ["chromium", *ALONE, *size, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            session, socket = runner.run(_connect(Path(profile) / "DevToolsActivePort"))
            yield Page(runner, socket)
            runner.run(session.close())
        finally:
            process.terminate()
            process.wait(30)


async def _connect(port_file: Path) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    deadline = time.monotonic() + START_SECONDS
    while not port_file.exists() or not port_file.read_text().strip():
        assert time.monotonic() < deadline, "Chromium did not start"
        await asyncio.sleep(0.1)
    port = port_file.read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=START_SECONDS) as answer:
        (page,) = [target for target in json.load(answer) if target["type"] == "page"]
    session = aiohttp.ClientSession()
    return session, await session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)


def main(url: str, picture: str, *runs: str) -> None:
    """See the module."""
    with chromium(1320, 900, scale=1.5) as page:
        page.open(url)
        for run in runs:
            page.expand(run)
        time.sleep(5)  # for the rows to be drawn
        page.picture(Path(picture))
    Image.open(picture).convert("RGB").quantize(128).save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
