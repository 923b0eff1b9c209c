"""An npm registry with one package, which notes who fetched it."""

import hashlib
import json
import threading
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers.server import started


class Registry:
    """Answers at ``url``. Made by ``running``."""

    def __init__(self, package: str, archive: Path, host: str) -> None:
        name, version = package.split("@")
        content = archive.read_bytes()
        fetched = self.fetched = list[str]()  # the address of each machine that has fetched the archive

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == f"/{name}":
                    self.reply("application/json", json.dumps(described).encode())
                elif self.path == f"/{archive.name}":
                    fetched.append(self.client_address[0])
                    self.reply("application/octet-stream", content)
                else:
                    self.send_error(404)

            def reply(self, kind: str, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.url = f"http://{host}:{self.server.server_port}"
        dist = {
            "tarball": f"{self.url}/{archive.name}",
            "shasum": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        }
        only = {"name": name, "version": version, "dist": dist}
        described = {"name": name, "dist-tags": {"latest": version}, "versions": {version: only}}

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Release its address."""
        self.server.shutdown()
        self.server.server_close()


def running(package: str, archive: Path, host: str) -> AbstractContextManager[Registry]:
    """Return the registry, which runs inside the block.

    Args:
        package: name@version.
        archive: the archive of the package.
        host: the address to listen at.
    """
    return started(Registry(package, archive, host))
