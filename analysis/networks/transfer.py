"""The network on which a transferred attack is made; it may be that of any run in MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from analysis.networks.evaluate import Checkpoint, CheckpointError, fetch, load_network
from mixlab.tracking import store
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.opening import dataset_of


@dataclass(frozen=True)
class Attacker:
    """A checkpoint that can travel to a Ray task."""

    run_id: str
    config: dict[str, Any]
    sha256: str
    content: bytes

    def network(self, attacked: Config) -> Network:
        """Return the network, on its device in evaluation mode.

        Args:
            attacked: the configuration of the network that the attack is for.

        Raises:
            ValueError: the checkpoint cannot be read, or is of other images.
        """
        with TemporaryDirectory() as folder:
            file = Path(folder) / "model.pt"
            file.write_bytes(self.content)
            try:
                network, own = load_network(Checkpoint(self.run_id, self.config, file, self.sha256))
            except CheckpointError as error:
                raise ValueError(f"--transfer-from {self.run_id!r}: {error}") from None
        if (own.dataset, dataset_of(own).image_shape) != (attacked.dataset, dataset_of(attacked).image_shape):
            raise ValueError(f"--transfer-from {self.run_id!r} is of {own.dataset}, the study of {attacked.dataset}")
        return network


def fetch_attacker(tracking_uri: str, run_id: str) -> Attacker:
    """Return the network of a run of any study.

    Raises:
        ValueError: MLflow does not have such a run, or its checkpoint.
    """
    with TemporaryDirectory() as folder:
        try:
            found = fetch(store.connect(tracking_uri, make=False), run_id, Path(folder))
        except CheckpointError as error:
            raise ValueError(f"--transfer-from {run_id!r}: {error}") from None
        return Attacker(run_id, found.config, found.sha256, found.file.read_bytes())
