"""Compares a study's arms image by image, from the logits that every run saved: no GPU and no model is needed.

    python analysis/per_image.py ablation_cifar100

For every arm and its reference it prints McNemar's test of each seed, the uncertainty of the gain over test images
besides that over seeds, and the classes in which accuracy differs; for every arm, the accuracy and calibration of one
seed and of the ensemble of all, and how often its seeds agree.
"""

import argparse
import io
import sys
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import command
from analysis.ablation_table import study_table
from analysis.records.runs import done, load_plan, name_of_run
from analysis.statistics import predictions
from analysis.statistics.significance import ALPHA, FEWEST_PAIRS
from analysis.statistics.tables import LevelTable
from analysis.words.cells import number_text, p_text
from analysis.words.rendering import grid
from mixlab.messages import counted
from mixlab.spec.metric import decimals
from mixlab.tracking import artifacts, names, store

NO_P = "Seeds were added until a comparison was decided, so no p over its classes holds."
MOST_CLASSES = 10  # the most classes that are listed, by the size of their gain
MOST_RUNS = 10  # the most runs without logits that are named


class Predictions(NamedTuple):
    """The logits of the runs of one arm."""

    seeds: list[int]
    logits: NDArray[np.float16]  # (S, N, L)
    labels: NDArray[np.int64]  # (N,)


def load_predictions(tracking_uri: str, level: LevelTable) -> tuple[dict[str, Predictions], list[str]]:
    """Return a table's logits by arm, and the names of the runs without; ``ValueError`` if the test images differ."""
    client, found, without = store.connect(tracking_uri, make=False), {}, []
    labels: NDArray[np.int64] | None = None
    for arm, runs in done(level.runs).groupby("arm", sort=False):
        seeds, parts = [], []
        for row in runs.sort_values("seed").to_dict("records"):
            held = artifacts.read(client, row["run_id"], names.PREDICTIONS_FILE)
            if held is None:
                without.append(name_of_run(row))
                continue
            with np.load(io.BytesIO(held)) as content:
                if labels is not None and not np.array_equal(labels, content["labels"]):
                    raise ValueError(f"{name_of_run(row)}, was tested on other images than those before")
                labels = content["labels"]
                parts.append(content["logits"])
            seeds.append(int(row["seed"]))
        if parts and labels is not None:
            found[str(arm)] = Predictions(seeds, np.stack(parts), labels)
    return found, without


def arms_table(by_arm: dict[str, Predictions]) -> pd.DataFrame:
    """Return for every arm the mean accuracy and calibration of a seed, those of the ensemble, and the agreement."""
    rows = {}
    for arm, (seeds, logits, labels) in by_arm.items():
        single = [predictions.calibration(predictions.probabilities(one), labels) for one in logits]
        ensemble = predictions.probabilities(logits).mean(axis=0)
        together = predictions.calibration(ensemble, labels)
        rows[arm] = {
            "seeds": len(seeds),
            "top-1": 100.0 * float(predictions.correct(logits, labels).mean()),
            "ECE": float(np.mean([found.ece for found in single])),
            "NLL": float(np.mean([found.nll for found in single])),
            "ensemble top-1": 100.0 * float(predictions.correct(ensemble, labels).mean()),
            "ensemble ECE": together.ece,
            "ensemble NLL": together.nll,
            "agreement of seeds": predictions.agreement(logits),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def comparisons_text(level: LevelTable, by_arm: dict[str, Predictions]) -> list[str]:
    """Return the comparison of every arm with its reference over the images, as blocks of text."""
    blocks = []
    for arm, mine in by_arm.items():
        theirs = by_arm.get(level.reference(arm))
        seeds = [seed for seed in mine.seeds if theirs is not None and seed in theirs.seeds]
        if arm == level.baseline or theirs is None or not seeds:
            continue
        pair = [
            predictions.correct(each.logits[[each.seeds.index(seed) for seed in seeds]], mine.labels)
            for each in (mine, theirs)
        ]
        tested, sure = predictions.mcnemar(*pair), predictions.uncertainty(*pair)
        tested.insert(0, "seed", seeds)
        fixed = level.family.budget is None
        classes = _classes_text(predictions.class_gains(pair[0], pair[1], mine.labels), len(seeds)) if fixed else NO_P
        of_images = f"{sure.images:.2f} over test images"
        error = f"{sure.seeds:.2f} over seeds, {of_images}, {sure.both:.2f} over both"
        if len(seeds) == 1:
            error = f"{of_images}; one seed tells none over seeds"
        gain = f"gain {decimals(sure.gain, 2, '+')} points; standard error {error}."
        rows = tested.assign(p=tested["p"].map(p_text)).astype(str)
        blocks += [f"{arm} against {level.reference(arm)}: {gain}", grid(rows), classes]
    return blocks


def _classes_text(gains: pd.DataFrame, seeds: int) -> str:
    """Return the classes of :func:`analysis.statistics.predictions.class_gains` that differ, with so many seeds."""
    if seeds < FEWEST_PAIRS:
        few = f"With {counted(seeds, 'seed')} it cannot be told in which of the {len(gains)} classes accuracy differs"
        return f"{few}; at least {FEWEST_PAIRS} would be needed."
    differ = gains[gains["differs"]].sort_values("gain", key=abs, ascending=False)
    shown = differ["gain"].head(MOST_CLASSES)
    named = [f"class {name} {decimals(gain, 1, '+')}" for name, gain in shown.items()]
    named += ["and others"] if len(differ) > MOST_CLASSES else []
    said = f"Accuracy differs in {len(differ)} of {len(gains)} classes (p over all of them < {ALPHA})"
    return f"{said}{': ' if named else ''}{', '.join(named)}."


def _work(options: argparse.Namespace) -> int:
    plan = load_plan(options.tracking_uri, options.study, options.plan)
    blocks, without = [], []
    for level in study_table(options.tracking_uri, options.study, plan).levels:
        by_arm, of_level = load_predictions(options.tracking_uri, level)
        without += of_level
        if by_arm:
            shown = arms_table(by_arm)
            digits = {name: 0 if name == "seeds" else 2 for name in shown}
            texts = {name: [number_text(value, digits[name]) for value in shown[name]] for name in shown}
            arms = grid(pd.DataFrame({"arm": shown.index, **texts}))
            blocks.append("\n\n".join([level.name or options.study, arms, *comparisons_text(level, by_arm)]))
    if not blocks:
        raise ValueError(f"no run of the study {options.study!r} has {names.PREDICTIONS_FILE}")
    if without:
        lacking = f"{counted(len(without), 'run')} without {names.PREDICTIONS_FILE}"
        rest = ["and others"] if len(without) > MOST_RUNS else []
        print(f"per_image.py: not counted: {lacking}: {'; '.join(without[:MOST_RUNS] + rest)}", file=sys.stderr)
    note = (
        "\nAll numbers are of the networks after the last epoch, whatever rule the tables of the study have. "
        "McNemar's p is of one seed's two networks over test images, and says nothing of other seeds. Top-1, ECE and "
        "agreement are percentages, NLL is in nats; those of the ensemble are of the mean of the probabilities."
    )
    return command.finish([], "\n\n\n".join(blocks) + f"\n{note}")


parser = command.study_parser("per_image.py", "Compare a study's arms image by image, from the logits of its runs.")
main = command.main(__name__, _work, parser)
