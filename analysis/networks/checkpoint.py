"""The trained network of a run: fetched from MLflow, and built again."""

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from analysis.networks.own_mixer import learns_masks, load_block
from mixlab.errors import first_line
from mixlab.tracking import artifacts, names
from trainables.backbones.backbone import Network
from trainables.config import Config, parse
from trainables.datasets.opening import dataset_of
from trainables.hardware import device
from trainables.methods import build_network

BLOCK_FILE = "model_mix_block.pt"  # what a run that learns its masks keeps besides its network


class CheckpointError(Exception):
    """A checkpoint is missing, damaged, or of another network; the message is one sentence."""


@dataclass(frozen=True)
class Checkpoint:
    """The trained network of one run."""

    run_id: str
    config: dict[str, Any]  # flat, as the run logged it
    file: Path
    sha256: str
    block: bytes | None = None  # what made the masks, a state_dict, where the run learned them


def fetch(client: MlflowClient, run_id: str, folder: Path) -> Checkpoint:
    """Return the configuration and the checkpoint of a run, downloaded into ``folder`` where they are elsewhere.

    Raises:
        CheckpointError: MLflow does not have one of the two.
        BadInput: the folder of MLflow's artifacts is not there.
    """
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
    block = artifacts.fetch(client, run_id, BLOCK_FILE, folder) if learns_masks(config.get("mixer", "")) else None
    own = {key: value for key, value in config.items() if key != "seed"}
    return Checkpoint(run_id, own, files[1], digest, block.read_bytes() if block is not None else None)


def load_network(checkpoint: Checkpoint) -> tuple[Network, Config]:
    """Return the network of the checkpoint, in evaluation mode on the GPU where there is one, and its configuration.

    A Mix Block is kept as the network's ``mix_block``, so that AutoMix can mix with it.

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
    if checkpoint.block is not None:
        network.mix_block = load_block(network, config, checkpoint.block)
    return network.to(device()).eval(), config
