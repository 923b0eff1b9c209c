"""Whole launches without Ray after others, whose tables they replace, and name where they were looked at.

``test_looks.py`` has the rule for what was looked at, and ``test_captions.py`` the words for it.
"""

from dataclasses import replace

import pytest

from mixlab import Arm
from tests.mixlab.without_ray import raising
from tests.toy import STUDIES

STUDY = STUDIES["sequential"]().with_base(epochs=1)
TWO_ARMS = replace(STUDY, arms=STUDY.arms[:2])
ONE_SEED = replace(TWO_ARMS, seeds=range(1))

pytestmark = pytest.mark.slow


def test_a_start_says_before_it_trains_which_tables_its_own_will_replace(launch, tmp_path):
    study = replace(STUDY, factors={"peak": (0.2, 0.8)})
    tables = tmp_path / "results" / "toy" / "paper"
    launch(study, arms=["clear"])
    whole = (tables / "table.csv").read_text()
    for spec, options, lost, where in (
        (study, {"arms": ["unsure"], "code": 130}, "2 comparisons that this one lacks", tables),
        (study, {"arms": ["clear"], "seeds": 1}, "2 seeds", f"{tables}, and in MLflow that of the same arms"),
        (study.with_levels("peak", ["0.2"]), {"arms": ["clear"]}, "1 comparison that this one lacks", tables),
    ):
        said = launch(spec, raising(KeyboardInterrupt(), after=0), **options)
        text = f"Earlier tables of this study have {lost}. This one replaces any that are still in {where}; the earlier"
        assert text in said.replace("\n", " ")
    assert (tables / "table.csv").read_text() != whole
    said = launch(study, raising(KeyboardInterrupt(), after=0), arms=["clear"])  # nothing is left to train
    assert "Earlier tables" not in said
    assert (tables / "table.csv").read_text() == whole


def test_a_table_names_the_earlier_ones_with_fewer_seeds(launch, tmp_path):
    table = tmp_path / "results" / "toy" / "paper" / "table.md"
    launch(TWO_ARMS, raising(KeyboardInterrupt(), after=1), seeds=5, code=130)  # no table, nothing to look at
    for seeds in (2, 6):  # nothing can be claimed with two
        launch(TWO_ARMS, seeds=seeds)
        assert "Looked at before" not in table.read_text()
    for _ in range(2):
        launch(TWO_ARMS, seeds=7)
        rule = "Looked at before: a table of 6 seeds. p holds only if the present seeds had been chosen by then"
        assert rule in table.read_text()
    launch(TWO_ARMS, raising(KeyboardInterrupt(), after=1), seeds=9, code=130)
    launch(TWO_ARMS, seeds=8)
    assert "Looked at before: a table of 6 seeds, a table of 7 seeds. p holds" in table.read_text()
    launch(TWO_ARMS, seeds=6, epochs=2)  # other trials
    assert "Looked at before" not in table.read_text()


def test_a_table_counts_the_comparisons_of_larger_ones(launch, tmp_path):
    """The best of many arms, taken alone, would have a smaller p than among them."""
    larger = replace(TWO_ARMS, arms=(*TWO_ARMS.arms, Arm("c", {"lr": 0.3}), Arm("d", {"lr": 0.4})))
    launch(larger, seeds=6)
    first_two = {"seeds": 6, "storage": str(tmp_path / "part")}
    for options, statistic in ((first_two, "p"), ({**first_two, "until": "decided"}, "e")):
        launch(TWO_ARMS, **options)
        rule = f"made 2 more comparisons with these runs, for which {statistic} (family) is not corrected."
        assert rule in (tmp_path / "part" / "toy" / "paper" / "table.md").read_text()


def test_the_command_that_shows_the_runs_can_be_typed(launch, tmp_path):
    uri = f"sqlite:///{tmp_path / 'my runs.db'}"
    said = launch(ONE_SEED, tracking_uri=uri)
    assert f"mlflow ui --backend-store-uri '{uri}', then open" in " ".join(said.split())


def test_a_plan_that_is_damaged_is_passed_over(launch, tracking_uri, tmp_path):
    launch(ONE_SEED)
    (file,) = (tmp_path / "mlruns").rglob("plan.json")
    file.write_text('{"trials": ')
    launch(ONE_SEED, dry_run=True)
    launch(ONE_SEED)
