"""Table 5 of SUMix for any study: accuracy on clean and corrupted images, error under FGSM, and calibration.

    python analysis/robustness.py ablation_cifar100                         every finished run, 1000 test images
    python analysis/robustness.py ablation_cifar100 --images 10000 --pgd
    python analysis/robustness.py STUDY --substitutes none:1,torchvision/resnet152_imagenet

With substitutes FGSM and PGD are also made on other networks, and each network of the study is tested on the images
that fool those: a grey box where the substitute has its architecture (another seed), a black box where it has another
(K-image mixing, Table 5).

The command needs the finished runs' ``model.pt``, and writes into results/robustness: table.md, .csv and .tex, all
measures and each with paired gains, corruptions.csv, transfers.csv, and reliability.png, .pdf, .tex and .csv, accuracy
by confidence.
Corrupted images are the official ones where CIFAR-10-C or CIFAR-100-C lies in the data root, else "CIFAR-C-style" ones
made here, which no published number may be compared with. A network takes about 100 passes over the images; networks
that were evaluated before are read from evaluations.json.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import command, evaluation
from analysis.figures.drawing import arms_of, height_beside, legend_beside, line_and_band, names_in_lines, panel_figure
from analysis.networks.evaluate import Result
from analysis.networks.robustness_measures import STYLE, measure
from analysis.networks.transfer import find_substitutes
from analysis.statistics.tables import LevelTable
from analysis.words.captions import metric_text
from mixlab.spec.metric import Metric, decimals
from mixlab.spec.trial import cell_name

HEIGHT = 2.4  # inches, of a panel
FEWEST = 20  # the fewest predictions of a bin that is drawn: the share of fewer is noise
OFFICIAL = {"cifar10_c": "CIFAR-10-C", "cifar100_c": "CIFAR-100-C"}  # the name in EVALUATION_SETS, and the folder
UNLIKE = (
    "No network is attacked from itself, so not all were attacked from the same networks: part of a gain in the grey "
    "or the black box can come from that."
)
WORDS = {  # the heading of the column, and the label of the metric
    "test_top1_clean": ("Clean", "top-1 accuracy"),
    "test_top1_corrupted": ("Corruption", "mean top-1 accuracy over 19 corruptions and 5 severities"),
    "fgsm_error": ("FGSM", "error under FGSM at 8/255 in pixels"),
    "pgd_error": ("PGD", "error under PGD at 8/255 in pixels, 10 steps of 2/255, random start"),
    "fgsm_grey_error": ("FGSM, grey box", "error under FGSM at 8/255 made on another network of the same architecture"),
    "fgsm_black_error": ("FGSM, black box", "error under FGSM at 8/255 made on a network of another architecture"),
    "pgd_grey_error": ("PGD, grey box", "error under PGD as above, made on another network of the same architecture"),
    "pgd_black_error": ("PGD, black box", "error under PGD as above, made on a network of another architecture"),
    "fgsm_release_error": (
        *("FGSM (release)", "error under the FGSM of SUMix's released code, which clamps normalised pixels; legacy"),
    ),
    "ece": ("ECE", "expected calibration error, 15 bins of equal width"),
    "ece_10_bins": ("ECE, 10 bins", "the same with 10 bins"),
    "adaptive_ece": ("Adaptive ECE", "the same with 15 bins of equally many predictions"),
}
MEASURES = {
    name: Metric(name, "%", 2, higher_is_better=name.startswith("test_top1"), label=label)
    for name, (_, label) in WORDS.items()
}
HEADINGS = {name: heading for name, (heading, _) in WORDS.items()}


def summary(tables: Mapping[str, list[LevelTable]]) -> pd.DataFrame:
    """Return the means of every measure by cell, with the gains paired by seed and the published numbers."""
    first = next(iter(tables.values()))
    rows = []
    for index, level in enumerate(first):
        for arm in level.table.index:
            seeds = int(level.table.loc[arm, "n"])
            cells = [_cell(levels[index].table.loc[arm], seeds) for levels in tables.values()]
            rows.append([cell_name(level.levels.values(), arm), seeds, *cells])
    return pd.DataFrame(rows, columns=["cell", "n", *(HEADINGS[metric] for metric in tables)])


def _cell(row: pd.Series, seeds: int) -> str:
    """Return the cell of a measure, with its n where it lacks some of the ``seeds``, as of a network's own attacks."""
    if pd.isna(row["mean"]):
        return "–"
    gain = "" if pd.isna(row["gain"]) else f" ({decimals(row['gain'], 2, '+')})"
    few = "" if row["n"] == seeds else f", n = {int(row['n'])}"
    paper = f", paper {row['published']:.2f}" if pd.notna(row.get("published")) else ""
    return f"{row['mean']:.2f}{gain}{few}{paper}"


def protocol_text(images: str, results: Mapping[str, Result], tables: Mapping[str, list[LevelTable]]) -> list[str]:
    """Return sentences that explain the columns."""
    level, *_ = next(iter(tables.values()))
    others = ", ".join(f"{arm} from {reference}" for arm, reference in level.against.items())
    difference = f"difference from the baseline{f' ({others})' if others else ''}, paired by seed"
    lines = [f"{images}, evenly spaced. In brackets: {difference}."]
    lines += [f"{HEADINGS[name]}: {metric_text(MEASURES[name], name, ())}." for name in tables]
    sources = sorted({result["source"] for result in results.values() if "source" in result})
    if sources:
        lines.append(f"Corrupted images: {' and '.join(sources)}.")
    transfers = [result["transfers"] for result in results.values() if "transfers" in result]
    if len({frozenset(point["substitute"] for point in points) for points in transfers}) > 1:
        lines.append(UNLIKE)
    if any("published" in level.table for levels in tables.values() for level in levels):
        lines.append("The paper's numbers are of its whole test set.")
    return lines


def _work(options: argparse.Namespace) -> int:
    study = evaluation.Evaluation.read(options)
    root = options.data_root.absolute()
    substitutes = find_substitutes(options.substitutes, options.tracking_uri, study.runs, root)
    protocol = {
        "kind": "robustness",
        "version": 7,
        "corruptions": not options.no_corruptions,
        "official": {name: str(root) for name, folder in OFFICIAL.items() if (root / folder).is_dir()},
        "pgd": options.pgd,
        "release": options.fgsm_release,
        "substitutes": {one.name: one.checkpoint.sha256 for one in substitutes},
    }
    study.measure(partial(measure, substitutes=substitutes), protocol)
    results = study.results
    logged = {name for result in results.values() for name in result}
    made_here = any(result.get("source") == STYLE for result in results.values())
    tables = {
        name: study.tables(metric, name, compare=not (made_here and name == "test_top1_corrupted"))
        for name, metric in MEASURES.items()
        if name in logged
    }
    text = study.write_tables(tables.values(), *protocol_text(study.images(), results, tables), summary=summary(tables))
    points = study.points(reliability_points)
    caption = (
        f"{study.images()} for each network, 15 bins of equal width; "
        f"{line_and_band(points, 'predictions of all seeds together')}; dotted: confidence and accuracy agree. "
        f"Bins of fewer than {FEWEST} predictions count in the ECE and are not drawn."
    )
    if not options.no_corruptions:
        study.files.append(options.out / "corruptions.csv")
        study.points(by_corruption).to_csv(study.files[-1], index=False)
    if substitutes:
        study.files.append(options.out / "transfers.csv")
        study.points(lambda result: result.get("transfers", [])).to_csv(study.files[-1], index=False)
    study.draw("reliability", plot_reliability, points, tables["ece"], caption)
    return study.finish(text)


def by_corruption(result: Result) -> list[dict[str, Any]]:
    """Return ``test_top1``, in percent, for every corruption and severity."""
    return [
        {"corruption": corruption, "severity": level, "test_top1": accuracy}
        for corruption, accuracies in result.get("corruptions", {}).items()
        for level, accuracy in enumerate(accuracies, 1)
    ]


def reliability_points(result: Result) -> list[dict[str, float]]:
    """Return ``bin``, ``predictions``, ``confidence`` and ``accuracy``, both percent, of every bin with predictions."""
    return [
        {"bin": index, "predictions": count, "confidence": 100 * confidence, "accuracy": 100 * accuracy}
        for index, (count, confidence, accuracy) in enumerate(result.get("reliability", ()))
        if count
    ]


def plot_reliability(study: str, points: pd.DataFrame, levels: Sequence[LevelTable], caption: str) -> Figure:
    """Draw every arm's accuracy by bin of confidence, pooled over seeds, between the lowest and the highest seed.

    The points are those of :func:`reliability_points`, and the tables, at least one, those of the ECE: the legends show
    its means.
    """

    def draw(axis: Axes, level: LevelTable) -> None:
        axis.plot([0, 100], [0, 100], ":", color="#999999", linewidth=1)
        for arm, mine, (colour, mark) in arms_of(level, points):
            bins = _bins(mine)
            label = _label(arm, level)
            axis.plot(bins["confidence"], bins["accuracy"], marker=mark, markersize=3, color=colour, label=label)
            axis.fill_between(bins["confidence"], bins["low"], bins["high"], color=colour, alpha=0.12, linewidth=0)
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 100)
        legend_beside(axis, "mean ECE, %")

    labels = ("confidence, %", "accuracy, %")
    height = height_beside(HEIGHT, levels, _label)
    return panel_figure(study, levels, draw, height=height, labels=labels, caption=caption, legend=(), most=1)


def _label(arm: str, level: LevelTable) -> str:
    """Return the arm and the mean of its ECE."""
    return f"{names_in_lines(level, 30)[arm]}  {level.table['mean'][arm]:.1f}"


def _bins(points: pd.DataFrame) -> pd.DataFrame:
    """Return by bin ``confidence`` and ``accuracy`` of all seeds' predictions, and the ``low`` and ``high`` seed."""
    both, seeds = ["confidence", "accuracy"], points.groupby("bin")["accuracy"]
    total = points.groupby("bin")["predictions"].sum()
    means = points[both].mul(points["predictions"], axis=0).groupby(points["bin"]).sum().div(total, axis=0)
    return means.assign(low=seeds.min(), high=seeds.max()).astype(np.float64)[total >= FEWEST]


parser = evaluation.parser("robustness.py", "Measure the robustness and the calibration of a study's networks.")
add = parser.add_argument
add("--no-corruptions", action="store_true", help="leave out the corruptions, which take most of the time")
add("--pgd", action="store_true", help="also measure the error under PGD")
add("--fgsm-release", action="store_true", help="also attack by FGSM as SUMix's released code does")
substitutes = (
    "also attack by FGSM and PGD made on these networks: ARM:SEED of the study, the id of any MLflow run, or "
    "torchvision/BACKBONE with torchvision's weights of ImageNet"
)
add("--substitutes", type=command.names, default=[], metavar="A,B", help=substitutes)
main = command.main(__name__, _work, parser)
