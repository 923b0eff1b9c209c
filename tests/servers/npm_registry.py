"""An npm registry with one package, which notes who fetched it."""

import hashlib
import json
from pathlib import Path

from tests.servers.server import Handler, HttpServer


class Registry(HttpServer):
    """Answers at ``url``.

    Args:
        package: name@version.
        archive: the archive of the package.
        host: the address to listen at.
    """

    def __init__(self, package: str, archive: Path, host: str) -> None:
        name, version = package.split("@")
        content = archive.read_bytes()
        fetched = self.fetched = list[str]()  # the address of each machine that has fetched the archive

        class Package(Handler):
            def do_GET(self) -> None:
                if self.path == f"/{name}":
                    self.reply(json.dumps(described).encode(), Content_Type="application/json")
                elif self.path == f"/{archive.name}":
                    fetched.append(self.client_address[0])
                    self.reply(content, Content_Type="application/octet-stream")
                else:
                    self.send_error(404)

        super().__init__(Package, host)
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        dist = {"tarball": f"{self.url}/{archive.name}", "shasum": digest}
        only = {"name": name, "version": version, "dist": dist}
        described = {"name": name, "dist-tags": {"latest": version}, "versions": {version: only}}
