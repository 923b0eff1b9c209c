"""Evaluates the checkpoints of a study's finished runs, each once, here or as Ray tasks.

A result is kept in a JSON file under the checkpoint's SHA-256, the run's configuration and the protocol, so that a
second call evaluates only what is new. It does not know the data set's files: delete it when those change.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from torch import Tensor
from tqdm import tqdm

from analysis.networks.ray_tasks import in_ray, require_address
from analysis.records.runs import done
from mixlab.errors import first_line
from mixlab.tracking import artifacts, names, store
from trainables.backbones.backbone import Network
from trainables.config import Config, parse
from trainables.datasets.dataset import Splits
from trainables.datasets.opening import dataset_of, folder_of, open_splits
from trainables.datasets.resident import load_cached
from trainables.methods import build_network
from trainables.training import device

Result = dict[str, Any]  # what JSON can hold
# Takes a network on its device, test images (N, C, H, W) in [0, 1], labels (N,), the configuration and the protocol.
Measure = Callable[[Network, Tensor, Tensor, Config, Mapping[str, Any]], Result]


class CheckpointError(Exception):
    """A checkpoint is missing, damaged, or of another network; one sentence."""


@dataclass(frozen=True)
class Checkpoint:
    """The trained network of one run."""

    run_id: str
    config: dict[str, Any]  # flat, as the run logged it
    file: Path
    sha256: str


def evaluate_runs(
    tracking_uri: str,
    runs: pd.DataFrame,
    measure: Measure,
    protocol: Mapping[str, Any],
    *,
    images: int,
    data_root: Path,
    cache: Path,
    address: str = "none",
) -> tuple[dict[str, Result], Config | None, list[str]]:
    """Measure the network of every finished run on the same test images.

    Args:
        tracking_uri: where MLflow keeps the runs and their ``model.pt``.
        runs: one row a planned cell (:func:`analysis.runs.load_runs`).
        measure: a function of a module, so that it can travel to a Ray task.
        protocol: all that determines a result beside the checkpoint, as JSON can hold it.
        images: how many test images, evenly spaced in the test set.
        data_root: the folder of the data sets.
        cache: JSON file of earlier results; made, or added to.
        address: ``none`` for this process, or that of a Ray cluster (:func:`analysis.ray_tasks.in_ray`).

    Returns:
        Results by run id; the configuration of one of those runs, None where there is none; and one sentence for each
        run that has no result.

    Raises:
        ValueError: no run has finished, or no cluster answers at the address.
        DataError: the data set is missing or broken.
    """
    require_address(address)
    finished = done(runs)
    if finished.empty:
        raise ValueError("the study has no finished run: there is nothing to evaluate")
    client, full_protocol = store.connect(tracking_uri, make=False), {**protocol, "images": images}
    results: dict[str, Result] = {}
    problems, fetched = [], {}
    kept: dict[str, Result] = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    with _downloads(cache.parent) as folder:
        waiting: dict[str, Checkpoint] = {}
        for row in finished.to_dict("records"):
            name = f"{row['arm']!r}, seed {row['seed']} (run {row['run_id']})"
            try:
                checkpoint = fetch(client, row["run_id"], folder / row["run_id"])
            except CheckpointError as error:
                problems.append(f"{name}: {error}")
                continue
            key = result_key(checkpoint, full_protocol)
            fetched[name] = (key, checkpoint)
            if key not in kept:
                waiting[key] = checkpoint
        arguments = (measure, full_protocol, images, data_root.absolute())
        here = ((key, _evaluate(checkpoint, *arguments)) for key, checkpoint in waiting.items())
        work = here if address == "none" else in_ray(waiting, address, _evaluate, *arguments)
        failures = {}
        for key, outcome in tqdm(work, "evaluating", len(waiting), disable=None, leave=False):
            if isinstance(outcome, str):
                failures[key] = outcome
                continue
            kept[key] = outcome
            _write(cache, kept)
    config = None
    for name, (key, checkpoint) in fetched.items():
        if key in failures:
            problems.append(f"{name}: {failures[key]}")
            continue
        results[checkpoint.run_id] = kept[key]
        config = config or parse(checkpoint.config)
    return results, config, problems


def fetch(client: MlflowClient, run_id: str, folder: Path) -> Checkpoint:
    """Download the configuration and the checkpoint of a run into ``folder``.

    Raises:
        CheckpointError: MLflow does not have one of the two.
        BadInput: the folder of MLflow's artifacts is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in (names.CONFIG_FILE, names.MODEL_FILE):
        try:
            file = artifacts.fetch(client, run_id, name, folder)
        except (MlflowException, OSError) as error:
            raise CheckpointError(f"MLflow has no {name} of it ({first_line(error)})") from error
        if file is None:
            raise CheckpointError(f"MLflow has no {name} of it")
        files.append(file)
    try:
        config = json.loads(files[0].read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"its config.json is damaged ({error})") from error
    digest = hashlib.sha256(files[1].read_bytes()).hexdigest()
    return Checkpoint(run_id, {k: v for k, v in config.items() if k != "seed"}, files[1], digest)


def result_key(checkpoint: Checkpoint, protocol: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of the checkpoint's bytes, the run's configuration and the protocol."""
    text = json.dumps([checkpoint.sha256, checkpoint.config, dict(protocol)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_network(checkpoint: Checkpoint) -> tuple[Network, Config]:
    """The network of the checkpoint, in evaluation mode on the GPU where there is one, and its configuration.

    Raises:
        CheckpointError: the file cannot be read, or is of another network than the configuration says.
    """
    try:
        config = parse(checkpoint.config)
    except ValueError as error:
        raise CheckpointError(f"its configuration cannot be read ({error})") from error
    network = build_network(config, dataset_of(config))
    try:
        state = torch.load(checkpoint.file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError("its model.pt is damaged") from error
    try:
        network.backbone.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"its model.pt is of another network than {config.backbone!r}") from error
    return network.to(device()).eval(), config


def load_images(config: Config, images: int, data_root: Path) -> tuple[Tensor, Tensor]:
    """Test images (N, C, H, W) in [0, 1] as a run with ``config`` tests them, and labels (N,) int64, on the device.

    Args:
        config: of the run.
        images: how many, evenly spaced in the test set: the first ones may be of one class.
        data_root: the folder of the data sets.

    Raises:
        DataError: the data set is missing or broken.
    """
    test = load_cached(config.dataset, folder_of(config, data_root)).test
    total = len(test.labels)
    part = test.take(torch.linspace(0, total - 1, min(images, total)).long())
    plain = replace(config, train_images=None, test_images=None, validation=0.0, evaluate="test")
    source = open_splits(plain, Splits(part, part), device()).test
    assert source is not None  # evaluate is "test"
    batches = list(source.test_batches(500))
    return torch.cat([batch for batch, _ in batches]), torch.cat([labels for _, labels in batches])


def _evaluate(
    checkpoint: Checkpoint, measure: Measure, protocol: Mapping[str, Any], images: int, data_root: Path
) -> Result | str:
    """A result, or the sentence that says why there is none."""
    try:
        network, config = load_network(checkpoint)
    except CheckpointError as error:
        return str(error)
    return measure(network, *load_images(config, images, data_root), config, protocol)


@contextmanager
def _downloads(folder: Path) -> Iterator[Path]:
    """A folder for checkpoints that is gone after the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".checkpoints-", dir=folder) as name:
        yield Path(name).absolute()


def _write(file: Path, results: Mapping[str, Result]) -> None:
    """Whole or not at all: what is interrupted must not lose the results before."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(results, indent=1), encoding="utf-8")
    new.replace(file)
