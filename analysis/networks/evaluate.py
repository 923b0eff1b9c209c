"""Evaluates the checkpoints of a study's runs, each once, here or as Ray tasks.

Results are stored in a JSON file by the checkpoint's SHA-256, the run's configuration and the protocol, so that a
second call evaluates only what is new. The file does not notice when the data set's files change: delete it then.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from analysis.networks.checkpoint import Checkpoint, CheckpointError, fetch, load_network
from analysis.networks.ray_tasks import in_ray
from analysis.records.runs import done, name_of_run
from mixlab.errors import BadInput, first_line
from mixlab.spec import json_form
from mixlab.tracking import store
from trainables.backbones.backbone import Network
from trainables.config import Config, parse
from trainables.datasets.data_config import on_all_images
from trainables.datasets.dataset import BatchSource, Images, Splits
from trainables.datasets.opening import dataset_of, images_of, open_splits
from trainables.hardware import device

MOST_IMAGES = 500  # in a batch
MOST_PIXELS = 24 * 224 * 224  # in a batch: with the gradients of a ResNet-50 some hundreds of MiB

Result = dict[str, Any]  # anything that JSON can hold
# It takes a network on its device, the source of the test images or None, the configuration and the protocol.
Measure = Callable[[Network, Any, Config, Mapping[str, Any]], Result]


@dataclass
class Evaluated:
    """The outcome of an evaluation."""

    results: dict[str, Result] = field(default_factory=dict)  # by run id
    config: Config | None = None  # the configuration of one of those runs
    problems: list[str] = field(default_factory=list)  # a sentence for each run without a result


def evaluate_runs(
    tracking_uri: str,
    runs: pd.DataFrame,
    measure: Measure,
    protocol: Mapping[str, Any],
    *,
    images: int | Sequence[int],
    data_root: Path,
    cache: Path,
    address: str = "none",
) -> Evaluated:
    """Measure the network of every run that is done on the same test images.

    Args:
        tracking_uri: where MLflow keeps the runs and their ``model.pt``.
        runs: one row per planned cell (:func:`analysis.records.load_runs`).
        measure: a module's function, so that it can travel to a Ray task.
        protocol: everything that determines a result besides the checkpoint, as JSON can hold it.
        images: the number of test images, evenly spaced in the test set, or their positions in it; 0 where the measure
            reads images of its own, and is given None for their source.
        cache: the JSON file of earlier results; it is created, or extended after every network.
        address: ``none`` for this process, or that of a Ray cluster (:func:`analysis.networks.ray_tasks.in_ray`).

    Raises:
        ValueError: no run is done.
        BadInput: no such store, no cluster answers at the address, or the earlier results cannot be read.
        DataError: the data set is missing or broken.
    """
    rows = done(runs).to_dict("records")
    if not rows:
        raise ValueError("the study has no run that is done: there is nothing to evaluate")
    names_of = {row["run_id"]: f"{name_of_run(row)} (run {row['run_id']})" for row in rows}
    client, full_protocol = store.connect(tracking_uri, make=False), {**protocol, "images": images}
    cached = _read(cache)
    found = Evaluated()
    keys: dict[str, str] = {}  # by run id, like the configurations
    configs: dict[str, dict[str, Any]] = {}

    def fetched() -> Iterator[tuple[str, Checkpoint]]:
        """Yield the checkpoints that have no result yet, one at a time, so that the memory holds few of them."""
        for run_id, name in names_of.items():
            try:
                checkpoint = fetch(client, run_id)
            except CheckpointError as error:
                found.problems.append(f"{name}: {error}")
                continue
            keys[run_id], configs[run_id] = result_key(checkpoint, full_protocol), checkpoint.config
            if keys[run_id] not in cached:
                yield run_id, checkpoint

    arguments = (measure, full_protocol, images, data_root.absolute())
    here = ((run_id, _evaluate(checkpoint, *arguments)) for run_id, checkpoint in fetched())
    work = here if address == "none" else in_ray(fetched(), address, _evaluate, *arguments)
    try:
        for run_id, outcome in tqdm(work, "evaluating", len(rows), disable=None, leave=False):
            if isinstance(outcome, str):
                found.problems.append(f"{names_of[run_id]}: {outcome}")
                continue
            cached[keys[run_id]] = outcome
            _write(cache, cached)
    except KeyboardInterrupt:
        ready = sum(key in cached for key in keys.values())
        raise KeyboardInterrupt(f"{ready} of {len(rows)} networks are evaluated, and kept in {cache}") from None
    found.results = {run_id: cached[key] for run_id, key in keys.items() if key in cached}
    found.config = parse(configs[next(iter(found.results))]) if found.results else None
    return found


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
    test = images_of(config, data_root).test
    total = len(test.labels)
    if isinstance(images, int):
        return test.take(torch.linspace(0, total - 1, min(images, total)).long())
    if wrong := [index for index in images if not 0 <= index < total]:
        raise ValueError(f"the test set has images 0 to {total - 1}, got {wrong[0]}")
    return test.take(torch.tensor(list(images)))


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


def _evaluate(
    checkpoint: Checkpoint, measure: Measure, protocol: Mapping[str, Any], images: int | Sequence[int], data_root: Path
) -> Result | str:
    """Return a result, or the sentence that says why there is none.

    Anything wrong with the data or the options is wrong for every network, and is raised.
    """
    try:
        network, config = load_network(checkpoint)
        source = open_images(config, images, data_root) if images else None
        return measure(network, source, config, protocol)
    except CheckpointError as error:
        return str(error)
    except (ValueError, OSError):
        raise
    except Exception as error:  # concerns this network alone, such as one that is too large for the GPU
        return f"{type(error).__name__}: {first_line(error)}"


def _read(file: Path) -> dict[str, Result]:
    """Return the earlier results in a file; none where there is no file."""
    try:
        found: dict[str, Result] = json_form.loads(file.read_bytes(), {str: {str: object}})
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(
            f"the earlier results in {str(file)!r} cannot be read ({first_line(error)}): "
            "delete the file to evaluate all again, or give another --out"
        ) from error


def _write(file: Path, results: Mapping[str, Result]) -> None:
    """Write the file whole or not at all: an interruption must not lose earlier results."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json_form.dumps(results, indent=1), encoding="utf-8")
    new.replace(file)
