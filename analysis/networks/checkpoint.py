"""The trained network of a run: fetched from MLflow, and built again."""

import hashlib
import io
import pickle
from dataclasses import dataclass
from typing import Any

import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from analysis.networks.own_mixer import load_block
from mixlab.errors import first_line
from mixlab.spec import json_form
from mixlab.tracking import artifacts, names
from trainables.backbones.backbone import Network
from trainables.config import Config, parse
from trainables.device.hardware import device
from trainables.methods import build_network
from trainables.mixers import learns_masks

BLOCK_FILE = "model_mix_block.pt"  # what a run that learns its masks keeps besides its network


class CheckpointError(Exception):
    """A checkpoint is missing, damaged, or of a network that cannot be measured so; the message is one sentence."""


@dataclass(frozen=True)
class Checkpoint:
    """The trained network of one run, in a form that can travel to a Ray task."""

    config: dict[str, Any]  # flat, as the run logged it
    content: bytes  # a state_dict of the backbone
    block: bytes | None = None  # what made the masks, a state_dict, where the run learned them

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


def fetch(client: MlflowClient, run_id: str) -> Checkpoint:
    """Return the configuration and the checkpoint of a run.

    Raises:
        CheckpointError: MLflow does not have one of the two.
        BadInput: the folder of MLflow's artifacts is not there.
    """
    found = []
    for name in (names.CONFIG_FILE, names.MODEL_FILE):
        try:
            content = artifacts.read(client, run_id, name)
        except (MlflowException, OSError) as error:
            raise CheckpointError(f"MLflow has no {name} of it ({first_line(error)})") from error
        if content is None:
            raise CheckpointError(f"MLflow has no {name} of it")
        found.append(content)
    try:
        config = json_form.loads(found[0])
    except ValueError as error:
        raise CheckpointError(f"its config.json is damaged ({error})") from error
    block = artifacts.read(client, run_id, BLOCK_FILE) if learns_masks(str(config.get("mixer"))) else None
    return Checkpoint({key: value for key, value in config.items() if key != "seed"}, found[1], block)


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
    network = build_network(config)
    try:
        state = torch.load(io.BytesIO(checkpoint.content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError("its model.pt is damaged") from error
    try:
        network.backbone.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"its model.pt is of another network than {config.backbone!r}") from error
    if checkpoint.block is not None:
        network.mix_block = load_block(network, config, checkpoint.block)
    return network.to(device()).eval(), config
