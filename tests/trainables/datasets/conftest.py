"""No test here reaches a host: both downloads refuse, unless a test puts files where they would."""

import pytest

from trainables.datasets import download
from trainables.datasets.dataset import DataError


@pytest.fixture(autouse=True)
def asked(request, monkeypatch):
    """The hosts that were asked, in order; not for the tests of the downloads themselves, nor for slow ones."""
    hosts: list[str] = []
    if request.node.get_closest_marker("slow") or request.path.name == "test_download.py":
        return hosts

    def refuse(what, folder):
        hosts.append(what)
        raise DataError(f"no route to the host of {what}")

    monkeypatch.setattr(download, "from_torchvision", refuse)
    monkeypatch.setattr(download, "npm_pack", refuse)
    return hosts
