"""Writes the network of a run under torchvision's names, for other programs; or reads such a file back.

    python analysis/export.py RUN --out resnet50.pth            from a run in MLflow, by its id
    python analysis/export.py resnet50.pth --out model.pt --back   the weights under the names that Mixlab uses

It takes torchvision's residual networks, whose backbones here end in ``_imagenet``.
"""

import argparse
import io
import pickle

import torch
from mlflow.exceptions import MlflowException

from analysis import command
from analysis.networks.checkpoint import CheckpointError, fetch
from mixlab.tracking import store
from trainables.backbones.torchvision_keys import FROM_TORCHVISION, TO_TORCHVISION, exportable, renamed


def _work(options: argparse.Namespace) -> int:
    if options.back:
        weights = renamed(_read(options.run, options.run), FROM_TORCHVISION)
    else:
        try:
            checkpoint = fetch(store.connect(options.tracking_uri, make=False), options.run)
        except (CheckpointError, MlflowException) as error:
            raise ValueError(f"run {options.run!r} cannot be exported: {error}") from error
        backbone = str(checkpoint.config.get("backbone"))
        if not exportable(backbone):
            raise ValueError(
                f"torchvision has no names for {backbone!r}; it has them for networks such as resnet50_imagenet"
            )
        weights = renamed(_read(io.BytesIO(checkpoint.content), f"model.pt of run {options.run!r}"), TO_TORCHVISION)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, options.out)
    return command.finish([options.out])


def _read(file: str | io.BytesIO, name: str) -> dict[str, torch.Tensor]:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{name} is not a file of weights ({type(error).__name__})") from error


parser = command.parser("export.py", "Write a run's network under torchvision's names.")
parser.add_argument("run", metavar="RUN", help="id of a run in MLflow; with --back, a file with torchvision's names")
parser.add_argument("--out", type=command.new_file, required=True, metavar="FILE", help="file to write")
parser.add_argument("--back", action="store_true", help="translate from torchvision's names to those of model.pt")
main = command.main(__name__, _work, parser)
