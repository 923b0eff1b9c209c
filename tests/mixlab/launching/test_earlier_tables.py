"""Whole launches without Ray after others: no table replaces a larger one, and each names those that were looked at.

``test_looks.py`` has the rule for what was looked at, and ``test_captions.py`` the words for it.
"""

from dataclasses import replace

import pytest

from mixlab import Arm
from mixlab.cluster.source import End
from mixlab.spec.trial import State
from tests.endings import refused
from tests.mixlab.without_ray import raising
from tests.toy import SEARCH, STUDIES

STUDY = STUDIES["sequential"]().with_base(epochs=1)
TWO_ARMS = replace(STUDY, arms=STUDY.arms[:2])
ONE_SEED = replace(TWO_ARMS, seeds=range(1))

pytestmark = pytest.mark.slow


def test_a_table_is_not_replaced_by_one_of_fewer_seeds(launch, tmp_path):
    table = tmp_path / "results" / "toy" / "paper" / "table.csv"
    launch(TWO_ARMS, raising(KeyboardInterrupt(), after=1), seeds=3, code=130)
    launch(TWO_ARMS, seeds=2)  # no seed of the larger one has finished in every arm
    larger = table.read_text()
    for options in ({"seeds": 1}, {"seeds": 1, "dry_run": True}):
        with refused("has a table of 4 trials, and one of 2 of them would replace it"):
            launch(TWO_ARMS, **options)
    said = launch(TWO_ARMS, seeds=1, storage=str(tmp_path / "part"))
    assert "the table of this study with 2 seeds will be replaced by one with 1 seed; the" in " ".join(said.split())
    assert table.read_text() == larger
    said = launch(TWO_ARMS, seeds=3)
    assert "will be replaced" not in said


def test_a_table_names_the_earlier_ones_with_fewer_seeds(launch, tmp_path):
    table = tmp_path / "results" / "toy" / "paper" / "table.md"
    launch(TWO_ARMS, raising(KeyboardInterrupt(), after=1), seeds=5, code=130)  # no table, nothing to look at
    for seeds in (2, 6):  # nothing can be claimed with two
        launch(TWO_ARMS, seeds=seeds)
        assert "Looked at before" not in table.read_text()
    for _ in range(2):
        launch(TWO_ARMS, seeds=7)
        rule = "Looked at before: a table of 6 seeds. p holds only if the present number of seeds had been chosen by"
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


def test_a_table_is_not_replaced_by_one_of_a_part_of_it(launch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = replace(STUDY, factors={"peak": (0.2, 0.8)})
    folder = tmp_path / "results" / "toy" / "paper"
    launch(study)
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    elsewhere = {"arms": ["clear"], "tracking_uri": "sqlite:///other.db"}
    for options in ({"arms": ["clear"]}, {"arms": ["unsure"], "seeds": 1, "dry_run": True}, elsewhere):
        with refused(f"'{folder}' has a table of 12 trials, and one of ", " would replace it"):
            launch(study, **options)
    part = study.with_levels("peak", ["0.2"])
    with refused("and one of 6 of them ", ", without '0.8 · plain · seed 0'", " another --storage"):
        launch(part)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
    folder.rename(tmp_path / "away")
    launch(part)
    launch(study)  # a larger one


def test_a_plan_that_is_damaged_is_passed_over(launch, tracking_uri, tmp_path):
    launch(ONE_SEED)
    (file,) = (tmp_path / "mlruns").rglob("plan.json")
    file.write_text('{"trials": ')
    launch(ONE_SEED, dry_run=True)
    launch(ONE_SEED)


def test_a_table_is_not_replaced_by_one_of_an_arm_that_failed_in_it(launch):
    failed = End(State.FAILED, error="ValueError: no")
    launch(STUDY, lambda listener, trial, number: failed if trial.arm == "unsure" else None, code=1)
    with refused("has a table of 4 trials, and ", " without 'clear · seed 0'"):
        launch(STUDY, arms=["unsure"])
    launch(STUDY, arms=["clear"])  # nothing else was finished


def test_a_table_of_seeds_until_decided_is_not_replaced_by_one_of_fewer_arms(launch):
    until = {"until": "decided", "seeds": 4}
    launch(STUDY, **until)
    with refused("without 'unsure · seed 0'"):
        launch(STUDY, arms=["clear"], **until)
    launch(STUDY, arms=["clear"], epochs=2, **until)  # other trials


def test_a_search_does_not_replace_a_table_of_more_seeds(launch):
    search = replace(SEARCH, study=SEARCH.study.with_base(epochs=1), budget=2, scheduler="none", sampler="random")
    launch(search)
    for options, missing in (({"seeds": 1, "trials": 4}, ""), ({"arms": ["low"]}, ", without 'high · seed 0'")):
        with refused("has a table of 4 trials, and one of 2 of them would replace it", missing):
            launch(search, **options)
