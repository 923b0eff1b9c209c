"""The interface of the tests' private servers: each is started for the length of a block."""

import contextlib
from collections.abc import Iterator
from typing import Protocol, TypeVar


class Server(Protocol):
    """A process that answers at an address of its own."""

    def start(self) -> None:
        """Start it, and return when it answers."""

    def stop(self) -> None:
        """End it."""


S = TypeVar("S", bound=Server)


@contextlib.contextmanager
def started(server: S) -> Iterator[S]:
    """Yield the server, started, inside the block."""
    server.start()
    try:
        yield server
    finally:
        server.stop()
