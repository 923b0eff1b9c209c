"""Shows everything that papers print for the data, networks and epochs of a study, next to what the study found.

    python analysis/literature.py table1_cifar100                    every method, also those that are not here
    python analysis/literature.py table1_cifar100 --out DIR          also writes literature.csv there

The study's own table shows the one number that an arm reproduces. Here are the others too: methods without a mixer of
this project, such as SMMix, and what several sources print for one method.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis import command
from analysis.records.published import WHOLE, cell_of, config_of_run, describes, printed, published_numbers
from analysis.records.runs import METRIC, done
from analysis.words.rendering import grid

SETTING = ("dataset", "backbone", "epochs")  # what a number and a run must share to be shown together
OURS = ("test_top1", "test_top1_error", "test_top5_error")  # measured in training; other commands' are shown alone
COLUMNS = (*SETTING, "metric", "mixer", "sumix", "alpha", "weight_decay", "settings", "rule", "paper", "ours")


def literature(runs: pd.DataFrame) -> pd.DataFrame:
    """Return every published number of the settings of the runs, in columns ``COLUMNS`` and ``source``.

    ``paper`` is in the paper's own terms. ``ours``, in the same terms, is the mean over the runs that are done and that
    the number describes; NaN where there are none, or where training does not measure it. Runs of which none has
    started on the whole of a data set raise ``ValueError``.
    """
    configs = [(row, config_of_run(row)) for row in runs[runs["run_id"] != ""].to_dict("records")]
    whole = [(row, config) for row, config in configs if all(config.get(key) is None for key in WHOLE)]
    if not whole:
        raise ValueError("no run of the study has started on a whole data set, so no published number is of its data")
    settings = {(dataset, network, epochs) for dataset, network, _, epochs in (cell_of(config) for _, config in whole)}
    every = published_numbers()
    of_these_settings = [tuple(row) in settings for row in every[list(SETTING)].itertuples(index=False)]
    finished = set(done(runs)["run_id"])
    ended = [(row, config) for row, config in whole if row["run_id"] in finished]
    found = every[of_these_settings].rename(columns={"value": "paper"})
    return found.assign(ours=[_mean(row, ended) for row in found.to_dict("records")])[[*COLUMNS, "source"]]


def _mean(number: Mapping[Any, Any], ended: list[tuple[dict[Any, Any], dict[str, Any]]]) -> float:
    """Return the mean of the runs that a published number describes, in its terms; NaN if there is none."""
    mine = pd.DataFrame([row for row, config in ended if describes(number, config)])
    for name in OURS:
        turn = dict(printed(name)).get(number["metric"])  # an error of an accuracy is the accuracy of that error
        logged = METRIC + (f"{name}_{number['rule']}" if number["rule"] else name)
        if turn is not None and logged in mine:
            return float(mine[logged].map(turn).mean())
    return float("nan")


def _work(options: argparse.Namespace) -> int:
    found = literature(command.read_study(options)[1])
    if found.empty:
        return command.finish([], "No number is published for the data, networks and epochs of this study.")
    shown = found.astype(object).where(found.notna(), "–")
    text = grid(shown)
    if options.out is None:
        return command.finish([], text)
    options.out.mkdir(parents=True, exist_ok=True)
    found.to_csv(file := options.out / "literature.csv", index=False)
    return command.finish([file], text)


parser = command.study_parser("literature.py", "Print every published number for the settings of a study.")
parser.add_argument("--out", type=command.new_folder, metavar="DIR", help="also write literature.csv there")
main = command.main(__name__, _work, parser)
