"""Scores how uncertain a run's network is of each training image (K-image mixing, section III.C), for choosing subsets.

    python analysis/uncertainty.py RUN                        RUN is the id of a run in MLflow
    python analysis/uncertainty.py RUN --baselines            also the measures that the paper compares with

Every image is mixed with two others ten times, its own share always a third. Its uncertainty is the coefficient of
variation of the loss over those mixtures: the standard deviation over the mean. It costs as much as ten passes over the
images. The command needs the run's ``model.pt``, and writes into results/uncertainty: scores.csv, one row per image,
which ``subset.scores`` takes, and extremes.png, .pdf and .tex, the most and the least uncertain images.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from analysis import command
from analysis.command import at_least
from analysis.figures.captioned import TEXT, save
from analysis.figures.tiles import show_image, tile_figure, write_below
from analysis.networks.checkpoint import CheckpointError, fetch, load_network
from analysis.networks.evaluate import as_tested, batches
from analysis.networks.sample_scores import ANCHOR, CONCENTRATION, MIXTURES, OTHERS, score
from mixlab.messages import counted
from mixlab.tracking import store
from trainables.config import Config
from trainables.datasets.dataset import BatchSource
from trainables.datasets.opening import images_of
from trainables.progress import progress
from trainables.seeds import generator
from trainables.training import device

SHOWN = 10  # images in a row of the figure


def at_least_two(source: BatchSource, config: Config) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of a source, with a last one of a single image added to the one before: it needs others."""
    every = batches(source, config)
    before = next(every)
    for images, labels in every:
        if len(labels) == 1:
            before = (torch.cat((before[0], images)), torch.cat((before[1], labels)))
        else:
            yield before
            before = (images, labels)
    yield before


def _work(options: argparse.Namespace) -> int:
    try:
        network, trained = load_network(fetch(store.connect(options.tracking_uri, make=False), options.run))
    except CheckpointError as error:
        raise ValueError(f"run {options.run!r}: {error}") from None
    config = replace(trained, bad_images="refuse")  # none may be left out, as each has its row
    images = images_of(config, options.data_root).train.take(slice(options.images))
    # In random order, so that an image is not mixed with its neighbours, which may be of its own class.
    order = torch.randperm(len(images.labels), generator=generator(options.seed, "order"))
    source = as_tested(images.take(order), config)
    kinds = {"mixings": options.mixings, "mixture": options.mixture, "baselines": options.baselines}
    scores = score(network, progress(at_least_two(source, config), "scoring"), device(), seed=options.seed, **kinds)
    scores.insert(0, "image", order.numpy())
    scores = scores.sort_values("image", ignore_index=True)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "scores.csv"
    scores.to_csv(file, index=False)
    by_cv = scores.sort_values("cv", ascending=False, kind="stable")
    rows = []
    for part in (by_cv.head(SHOWN), by_cv.tail(SHOWN)[::-1]):
        source = as_tested(images.take(torch.tensor(part["image"].tolist())), config)
        rows.append((torch.cat([pixels.cpu() for pixels, _ in batches(source, config)]), part))
    caption = (
        f"The extremes of {counted(len(scores), 'training image')} of {config.dataset} by the coefficient of variation "
        f"(CV) of the loss over {options.mixings} mixtures with {OTHERS} others ({options.mixture}, own share "
        f"{ANCHOR:.2f}, the others' from Dir({CONCENTRATION:.2f})); below, mean ± standard deviation, nats. "
        f"Run {options.run}."
    )
    figures = save(plot_extremes(f"{config.backbone}, {config.mixer}", rows, caption), options.out / "extremes")
    return command.finish([file, *figures])


def plot_extremes(title: str, rows: list[tuple[Tensor, pd.DataFrame]], caption: str) -> Figure:
    """Draw the most and the least uncertain images (n, C, H, W) in [0, 1], in two rows, with their rows of scores."""
    count = max(len(images) for images, _ in rows)
    with tile_figure(title, caption, (TEXT, 2.9), (2, count)) as (figure, axes):
        names = ("most uncertain", "most certain")
        for line, name, (images, scores) in zip(axes, names, rows, strict=True):
            line[0].set_title(name, loc="left", pad=12)
            for axis, image, row in zip(line, images, scores.to_dict("records"), strict=False):
                show_image(axis, image)
                write_below(axis, f"CV {row['cv']:.2f}\n{row['mean']:.2f} ± {row['std']:.2f}")
        return figure


parser = command.parser("uncertainty.py", "Score how uncertain a network is of each training image.", out=True)
add = parser.add_argument
add("run", metavar="RUN", help="id of the run in MLflow whose network is asked")
command.add_data_root(parser)
add("--images", type=at_least(1 + OTHERS), metavar="N", help="score only the first N training images (default: all)")
add("--mixings", type=at_least(2), default=10, metavar="M", help="mixtures of each image (default: %(default)s)")
add("--mixture", choices=MIXTURES, default=MIXTURES[0], help="how images are mixed (default: %(default)s)")
add("--baselines", action="store_true", help="also score by dropout, and by the K-centre order")
add("--seed", type=int, default=0, metavar="N", help="seed of all draws (default: %(default)s)")
main = command.main(__name__, _work, parser)
