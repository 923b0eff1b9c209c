"""Evaluates a checkpoint on test images, and keeps the results.

They are stored in a JSON file by the checkpoint's SHA-256, the run's configuration and the protocol, so that a second
call evaluates only what is new. The file does not notice when the data set's files change: delete it then.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis.networks.checkpoint import Checkpoint, CheckpointError, load_network
from mixlab.errors import BadInput, first_line
from mixlab.provenance import collect
from mixlab.spec import json_form
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.data_config import on_all_images
from trainables.datasets.dataset import BatchSource, Images, Splits
from trainables.datasets.opening import dataset_of, images_of, open_splits
from trainables.device import memory
from trainables.device.hardware import device

MOST_IMAGES = 500  # in a batch
MOST_PIXELS = 24 * 224 * 224  # in a batch: with the gradients of a ResNet-50 some hundreds of MiB

Result = dict[str, Any]  # anything that JSON can hold
# It takes a network on its device, the source of the test images or None, the configuration and the protocol.
Measure = Callable[[Network, Any, Config, Mapping[str, Any]], Result]


def result_key(checkpoint: Checkpoint, protocol: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of the checkpoint's bytes, the run's configuration and the protocol."""
    text = json.dumps([checkpoint.sha256, checkpoint.config, dict(protocol)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def open_images(config: Config, images: int | Sequence[int], data_root: Path) -> BatchSource:
    """Return test images as a run with ``config`` tests them; :func:`batches` reads them.

    So many ``images`` are evenly spaced in the test set, as the first may be of one class; or they are positions in it.
    A wrong position raises ``ValueError``, and a data set that is missing or broken ``DataError``.
    """
    return as_tested(take_images(config, images, data_root), config)


def as_tested(images: Images, config: Config) -> BatchSource:
    """Return any images as a run with ``config`` tests its own: without augmentation."""
    source = open_splits(on_all_images(config), Splits(images, images), device()).test
    assert source is not None  # evaluate is "test"
    return source


def take_images(config: Config, images: int | Sequence[int], data_root: Path) -> Images:
    """Return the test images that :func:`open_images` shows, not yet as a network sees them."""
    test = all_test_images(config, data_root)
    total = len(test.labels)
    if isinstance(images, int):
        return test.take(torch.linspace(0, total - 1, min(images, total)).long())
    if wrong := [index for index in images if not 0 <= index < total]:
        raise ValueError(f"the test set has images 0 to {total - 1}, got {wrong[0]}")
    return test.take(torch.tensor(list(images)))


def all_test_images(config: Config, data_root: Path) -> Images:
    """Return all test images."""
    return images_of(config, data_root).test


def batches(source: BatchSource, config: Config) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images (B, C, H, W) in [0, 1] and labels (B,) int64, on the device, in batches that fit into memory.

    Images in files are decoded while the batches before them are evaluated, and are never all held at once.
    """
    _, height, width = dataset_of(config).image_shape
    return source.test_batches(max(1, min(MOST_IMAGES, MOST_PIXELS // (height * width))))


def all_of(source: BatchSource, config: Config) -> tuple[Tensor, Tensor]:
    """Return a small number of images (N, C, H, W) and their labels (N,) at once."""
    parts = list(batches(source, config))
    return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])


def evaluate(
    checkpoint: Checkpoint, measure: Measure, protocol: Mapping[str, Any], images: int | Sequence[int], data_root: Path
) -> Result | str:
    """Return a result, or why this network has none; what is wrong for every network, data or options, is raised.

    A result says how many ``images`` it is of, without those that could not be decoded.
    """
    memory.keep_freed()
    try:
        network, config = load_network(checkpoint)
        if not images:
            return measure(network, None, config, protocol)
        source = open_images(config, images, data_root)
        found = measure(network, source, config, protocol)
        return {"images": len(source) - len(source.skipped), **found}
    except CheckpointError as error:
        return str(error)
    except (ValueError, OSError):
        raise
    except Exception as error:  # concerns this network alone, such as one that is too large for the GPU
        return f"{type(error).__name__}: {first_line(error)}"


@cache
def code() -> tuple[str, str]:
    """Return the commit of the code that evaluates, and the digest of its changes, as runs record theirs."""
    found = collect(Path(__file__))
    return found.commit, found.patch or "none"


def read_results(file: Path) -> dict[str, Result]:
    """Return the earlier results in a file; none where there is no file."""
    try:
        found: dict[str, Result] = json_form.loads(file.read_bytes())
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(
            f"the earlier results in {str(file)!r} cannot be read ({first_line(error)}): "
            "delete the file to evaluate all again, or give another --out"
        ) from error


def write_results(file: Path, results: Mapping[str, Result]) -> None:
    """Add results to the file, whole or not at all: no interruption and no other command loses earlier results."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(f".{secrets.token_hex(4)}.new")  # another command may write into the folder just now
    try:
        new.write_text(json_form.dumps({**read_results(file), **results}, indent=1), encoding="utf-8")
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
