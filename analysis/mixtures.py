"""Shows how AutoMix, SAMix or AdAutoMix mixed: masks and mixtures over lambda, and over the epochs of the training.

    python analysis/mixtures.py automix_definitions             the first finished run of every arm that learns masks
    python analysis/mixtures.py automix_definitions --arms paper --seed 1

A run keeps six training images and their masks after some of its epochs in ``model_mixtures.pt``, so that nothing is
evaluated. Writes mixtures.png and .pdf into results/mixtures: AutoMix, Fig. 4 (left) and 7.
"""

import argparse
import io
import sys

import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from analysis import command
from analysis.figures.drawing import save
from analysis.figures.mixtures_plot import MixtureRow, plot_mixtures
from analysis.records.runs import FACTOR, cell_of_run, of_arms
from mixlab.errors import first_line
from mixlab.tracking import artifacts

FILE = "model_mixtures.pt"


def read(client: MlflowClient, run_id: str) -> dict[str, torch.Tensor] | None:
    """Return what a run kept: images (N, C, H, W), masks (S, R * N, h, w) and epochs (S,); None if it kept nothing."""
    try:
        held = artifacts.read(client, run_id, FILE)
    except (MlflowException, OSError) as error:
        print(f"mixtures.py: {FILE} of run {run_id} cannot be read ({first_line(error)})", file=sys.stderr)
        return None
    return None if held is None else torch.load(io.BytesIO(held), map_location="cpu", weights_only=True)


def draw(options: argparse.Namespace) -> int:
    """Read, draw, and print where the files are; return the exit code."""
    plan, runs = command.read_study(options)
    runs = of_arms(runs, plan, plan["arms"] if options.arms is None else options.arms)
    if options.seed is not None:
        runs = runs[runs["seed"] == options.seed]
    factors = [FACTOR + factor for factor in plan["factors"]]
    client = MlflowClient(options.tracking_uri)
    rows = []
    for run in runs.drop_duplicates([*factors, "arm"]).to_dict("records"):
        album = read(client, run["run_id"])
        if album is not None:
            name = cell_of_run(run, plan)
            rows.append(MixtureRow(name, int(run["seed"]), album["images"], album["masks"], album["epochs"]))
    if not rows:
        raise ValueError(f"no finished run of {options.study!r} has kept mixtures: only methods that learn masks do")
    return command.finish(save(plot_mixtures(options.study, rows), options.out / "mixtures"))


def main(argv: list[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = command.study_parser("mixtures.py", "Draw the masks that a study's runs learned.", out=True)
    arms = "show only these arms (default: all that kept mixtures)"
    parser.add_argument("--arms", type=command.names, metavar="A,B", help=arms)
    parser.add_argument("--seed", type=int, metavar="N", help="show this seed (default: the first that finished)")
    return command.run(draw, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
