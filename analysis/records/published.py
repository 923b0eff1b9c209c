"""The numbers that papers print, and the one that a trial of this project reproduces.

``published.csv`` holds each once: its data set, backbone, mixer, terms of SUMix and epochs; its metric, in percent
unless its name says otherwise, and the rule by which it was read off (``median10``: the median of the last 10 epochs;
``best10``: the best of them, chosen on the test set); the alpha of the mixer, the weight decay and SUMix's zeta where
they are known; its source; and other settings that it needs. ``lam+su`` is the whole of SUMix.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis.records.runs import CONFIG, FACTOR
from trainables.config import flatten, parse
from trainables.mixers import learns_masks
from trainables.recipes import published_settings

FILE = Path(__file__).with_name("published.csv")
EXACT = ("dataset", "backbone", "mixer", "epochs")  # columns that must be what ``cell_of`` says of a configuration
IF_KNOWN = {"alpha": "mixer.alpha", "weight_decay": "weight_decay", "zeta": "sumix.zeta"}  # and those, where printed
# The column of other keys that must fit, ``KEY=VALUE;KEY=VALUE``: numbers may be fractions, and a key without a value
# may have any, because the paper does not say.
SETTINGS = "settings"
PIPELINE = "mixer.pipeline"  # None: the mixer's own
TERMS = ("sumix.lam", "sumix.regulariser")
# A definition by the paper and one by its code are two readings of one published number.
DEFINITIONS = ("automix.preset", "sumix.preset")
# Keys that change the last digits at most, and those that name a file.
UNSAID = (
    *("precision", "compile", "cuda_graph", "deterministic", "rerun", "bad_images"),
    *("mixer.teacher", "mixer.extractor", "mixer.codec_file"),
)
# A part of the data is another task.
WHOLE = ("train_images", "test_images", "retrain.train_images", "retrain.test_images")
FOUND = "pc_darts"  # the backbone of a run that searches its network


class PublishedNumber(NamedTuple):
    """One line of the file."""

    value: float  # percent
    rule: str  # median10, median5, best10 or best; empty where the paper does not say
    source: str


Published = Mapping[tuple[Any, ...], PublishedNumber]  # by (level of each factor ..., arm)


@cache
def published_numbers() -> pd.DataFrame:
    """Return the whole file, one row per number; the caller must not change it."""
    text = ("dataset", "backbone", "mixer", "sumix", "metric", "rule", "source", SETTINGS)
    kinds: dict[str, Any] = {**dict.fromkeys(text, "str"), "epochs": "Int64"}
    rows = pd.read_csv(FILE, dtype=kinds, keep_default_na=False, na_values={c: [""] for c in ("epochs", *IF_KNOWN)})
    return rows.fillna({SETTINGS: ""})  # a line may end before its last column


def published_number(config: Mapping[str, Any], metric: str = "test_top1") -> PublishedNumber | None:
    """Return the published number of the run that ``config`` describes, in our terms; None if there is none.

    The metric is ours, without its rule, e.g. ``test_top1`` or ``fgsm_error``. Where SUMix ran a baseline again and
    others print another number, SUMix's is returned, to compare with its method.
    """
    for name, ours in printed(metric):
        if found := matching(config, name):
            row = next((row for row in found if row["source"].startswith("SUMix")), found[0])
            return PublishedNumber(ours(float(row["value"])), row["rule"], row["source"])
    return None


def matching(config: Mapping[str, Any], metric: str) -> list[dict[Any, Any]]:
    """Return the rows about a run, those with most settings first."""
    rows = _by_cell().get((metric, sumix_terms(config), *cell_of(config)), [])
    found = [row for row in rows if describes(row, config)]
    return sorted(found, key=lambda row: -row[SETTINGS].count("="))


def cell_of(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the data set that a configuration is tested on, its network, mixer and epochs.

    One without a backbone searches its network, and may train it on other images than those of the search.
    """
    if "retrain.dataset" in config:
        return config["retrain.dataset"] or config.get("dataset"), FOUND, "none", config.get("epochs")
    return tuple(config.get(key) for key in EXACT)


@cache
def _by_cell() -> dict[tuple[Any, ...], list[dict[Any, Any]]]:
    """Return the rows of the file by metric, terms of SUMix, and the keys that must be the same."""
    cells: dict[tuple[Any, ...], list[dict[Any, Any]]] = {}
    for row in published_numbers().to_dict("records"):
        cells.setdefault((row["metric"], row["sumix"], *(row[key] for key in EXACT)), []).append(row)
    return cells


def describes(row: Mapping[Any, Any], config: Mapping[str, Any]) -> bool:
    """Return whether a run is the one that a row of the file is about, whatever the metric.

    It has all that the row names, and for every other key that its numbers depend on the value that a paper sets.
    """
    named = {key: row[column] for column, key in IF_KNOWN.items() if not pd.isna(row[column])} | settings_of(row)
    fits = (
        row["sumix"] == sumix_terms(config)
        and tuple(row[key] for key in EXACT) == cell_of(config)
        and all(config.get(key) is None for key in WHOLE)
        and all(_is(config.get(key), value) for key, value in named.items())
    )
    if not fits or row["backbone"] == FOUND:
        return fits
    given = {key: config[key] for key in (*EXACT, *DEFINITIONS, *TERMS, *named) if key in config}
    return any(_follows(config, settings) for settings in published_settings(given))


def _follows(config: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Return whether a run has these settings, and of every other key the default, as have older runs that lack it."""
    try:
        whole = flatten(parse({key: value for key, value in settings.items() if key in config}))
    except ValueError:  # a value that only another version of the project has
        return False
    regulariser = config.get("sumix.regulariser", "none")
    off = {  # beginnings of keys, and whether nothing reads such keys
        "mixer.": config["mixer"] == "none",
        "sumix.": sumix_terms(config) == "none",
        "sumix.zeta": regulariser == "none",
        "sumix.distance_gradient": "s" not in regulariser,
    }
    idle = tuple(section for section, is_off in off.items() if is_off)
    read = [key for key in whole if key not in (*UNSAID, PIPELINE) and not key.startswith(idle)]
    return _pipeline(config) == _pipeline(whole) and all(config.get(key, whole[key]) == whole[key] for key in read)


def _pipeline(config: Mapping[str, Any]) -> str:
    """Return the pipeline of a run by its name in AutoMix's Table 8."""
    own = "mp_ce" if learns_masks(str(config.get("mixer"))) else "none"
    return str(config.get(PIPELINE) or own)


def settings_of(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return the settings that a row names, by their keys."""
    return dict(part.split("=") for part in row[SETTINGS].split(";") if part)


def _is(value: Any, text: Any) -> bool:
    """Return whether a setting is what a row names: a number, in the file perhaps a fraction, or a word."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return not text or value == float(Fraction(text))
    return text in ("", str(value))


def printed(metric: str) -> tuple[tuple[str, Callable[[float], float]], ...]:
    """Return the names in the file under which our metric is published, and functions that turn each number into ours.

    A metric that is printed as we log it has its own name in the file, such as ``max_box_acc_v2``.
    """
    return PRINTED.get(metric, ((metric, float),))


def _hundred_minus(value: float) -> float:
    """Turn an error into an accuracy, or the other way round, in percent."""
    return round(100 - value, 2)


PRINTED: dict[str, tuple[tuple[str, Callable[[float], float]], ...]] = {
    "test_top1": (("top1", float), ("top1_error", _hundred_minus)),
    "test_top5": (("top5_error", _hundred_minus),),
    "test_top1_error": (("top1_error", float), ("top1", _hundred_minus)),
    "test_top5_error": (("top5_error", float),),
    "test_top1_clean": (("clean_top1", float), ("top1", float), ("top1_error", _hundred_minus)),
    "test_top1_corrupted": (("corruption_top1", float),),
    "params": (("params_millions", lambda millions: 1e6 * millions),),
    "search_seconds": (("search_gpu_days", lambda days: 86400 * days),),
    "fgsm_error": (("fgsm_error", float), ("fgsm_top1", _hundred_minus)),  # SUMix's own is fgsm_release_error
    "pgd_grey_error": (("pgd_grey_top1", _hundred_minus),),
    "pgd_black_error": (("pgd_black_top1", _hundred_minus),),
}


def published_of_runs(
    runs: pd.DataFrame, factors: Sequence[str], metric: str = "test_top1"
) -> dict[tuple[Any, ...], PublishedNumber]:
    """Return the published numbers of a study, by (level of each factor ..., arm), from what its runs logged.

    Numbers that nobody published are missing. The metric is without its rule.
    """
    columns = [*(FACTOR + factor for factor in factors), "arm"]
    started = runs[runs["run_id"] != ""].drop_duplicates(columns).to_dict("records")
    numbers = {tuple(row[name] for name in columns): published_number(config_of_run(row), metric) for row in started}
    return {cell: number for cell, number in numbers.items() if number is not None}


def config_of_run(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the configuration of a row of :func:`analysis.records.load_runs`, as it was before MLflow made it text."""
    texts = {str(key).removeprefix(CONFIG): text for key, text in row.items() if str(key).startswith(CONFIG)}
    return {key: _value(text) for key, text in texts.items()}


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def sumix_terms(config: Mapping[str, Any]) -> str:
    """Return the terms of SUMix that a configuration switches on: ``none``, ``lam``, ``su``, ``lam+su``, ..."""
    learned = ["lam"] if config.get("sumix.lam") == "learned" else []
    regulariser = config.get("sumix.regulariser", "none")
    return "+".join([*learned, *([] if regulariser == "none" else [regulariser])]) or "none"


def compare_with_published(table: pd.DataFrame, published: Mapping[str, PublishedNumber]) -> pd.DataFrame:
    """Return the table of our means, ``mean``, ``mean_low`` and ``mean_high`` by arm, next to the paper's values.

    Returns:
        The table with ``published``, ``published_rule``, ``source``, ``difference`` (ours minus theirs) and ``inside``:
        whether the paper's value lies in the 95 % t interval of our mean; missing where either is missing.
    """
    arms = table.index.to_series()
    theirs = arms.map({arm: number.value for arm, number in published.items()}).astype(float)
    inside = theirs.between(table["mean_low"], table["mean_high"]).astype("boolean")
    return table.assign(
        published=theirs,
        published_rule=arms.map({arm: number.rule for arm, number in published.items()}),
        source=arms.map({arm: number.source for arm, number in published.items()}),
        difference=table["mean"] - theirs,
        inside=inside.where(theirs.notna() & table["mean_low"].notna()),
    )
