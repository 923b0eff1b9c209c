"""No test here reaches a host: both kinds of download refuse, unless a test puts files where they would go."""

import numpy as np
import pytest
from PIL import Image

from trainables.datasets import download
from trainables.datasets.dataset import DataError


@pytest.fixture(autouse=True)
def asked(request, monkeypatch):
    """Return the hosts that were asked, in order; not for the tests of the downloads themselves, nor for slow ones."""
    hosts = []
    if request.node.get_closest_marker("slow") or request.path.name == "test_download.py":
        return hosts

    fetch_file = download.fetch_file

    def refuse(what, *rest):
        if "://127.0.0.1" in what:  # a server of the test's own
            return fetch_file(what, *rest)
        hosts.append(download.host(what) if "://" in what else what)
        raise DataError(f"no route to {hosts[-1]}")

    monkeypatch.setattr(download, "fetch_file", refuse)
    monkeypatch.setattr(download, "npm_archive", refuse)
    return hosts


@pytest.fixture
def picture():
    """Return a function that writes an image of noise, 20x16 pixels by default, with the same content per number."""

    def write(path, number=0, *, width=20, height=16, mode="RGB", **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path, **options)
        return path

    return write


@pytest.fixture
def truncated(picture):
    """Return a function that writes a JPEG file and cuts its second half off."""

    def write(path):
        picture(path, width=64, height=64)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path

    return write


@pytest.fixture
def lay_out(tmp_path, picture):
    """Return a function that writes text files, or pictures where the content is ``None``, under the data root."""

    def write(contents):
        for path, content in contents.items():
            if content is None:
                picture(tmp_path / path)
            else:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_text(content)
        return tmp_path

    return write
