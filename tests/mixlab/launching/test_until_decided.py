"""Seeds are added until every comparison is decided: its options, and launches that are stopped.

A killed driver goes on in ``test_racing_search``.
"""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from mixlab import Options, Study, run
from mixlab.cluster import schedule
from mixlab.configure import configure
from mixlab.errors import BadInput
from tests.mixlab.sequential_toy import ARMS, TRAIN, asked_of, rounds_of, seeds_by_arm, study_of
from tests.mixlab.without_ray import in_this_process, raising
from tests.toy import SEARCH, STUDIES, Toy, score


def test_the_budget_is_the_number_of_seeds_or_twenty():
    fixed = Study(name="toy", base={}, arms=ARMS, seeds=range(6))
    assert not configure(fixed, TRAIN, Options()).sequential
    for seeds, budget in ((None, 20), (12, 12)):
        study = configure(fixed, TRAIN, Options(until="decided", preset="quick", seeds=seeds))
        assert (study.sequential, [*study.seeds]) == (True, [*range(budget)])
    search = configure(SEARCH, TRAIN, Options(until="decided"))
    assert search.confirmation({}).sequential  # its arms race on the winners' seeds
    assert [*search.study.seeds] == [*range(20)]


@pytest.mark.parametrize(
    ("study", "options", "sentence"),
    [
        (study_of(), Options(until="deceided"), "unknown end of --until 'deceided'; did you mean 'decided'?"),
        (study_of(), Options(until="decided", seeds=0), "--seeds must be a whole number, at least 1, got 0"),
        (study_of(ARMS[:1]), Options(), "seeds until decided need a comparison, and 'plain' is the only arm"),
    ],
)
def test_what_cannot_be_decided_is_refused(study, options, sentence):
    with pytest.raises(BadInput, match=f"^{sentence}"):
        run(study, Toy(), options)
    with pytest.raises(BadInput, match="seeds until decided need a report with a function decide"):
        run(study_of(), Toy(), report=SimpleNamespace(report=print))


def test_a_dry_run_says_what_may_come(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    console = Console(record=True, width=200, file=io.StringIO())
    options = Options(until="decided", seeds=12, dry_run=True, tracking_uri=f"sqlite:///{tmp_path}/none.db")
    run(STUDIES["sequential"](), Toy(), options, console=console)
    said = console.export_text()
    assert "12 trials: 12 pending" in said
    assert "clear: not decided\n  unsure: not decided" in said
    assert "Seeds are added one by one to the arms that are not decided: at most 36 trials left" in said
    assert "36 s of training" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_a_launch_that_is_stopped_twice_decides_the_same_and_its_table_and_page_say_how(
    tmp_path, tracking_uri, monkeypatch
):
    """The whole launch, with MLflow and the report, but without Ray."""
    study, where = STUDIES["sequential"](), {"tracking_uri": tracking_uri, "storage": str(tmp_path / "results")}
    options = Options(until="decided", seeds=12, quiet=True, **where)
    configured = configure(study, TRAIN, options)
    values = {trial.key: score(trial.config, trial.seed, 2) for trial in configured.trials(TRAIN)}
    expected = seeds_by_arm(asked_of(rounds_of(configured), values))
    for stop_after, code in ((7, 130), (9, 130), (99, 0)):
        monkeypatch.setattr(schedule, "run", in_this_process(raising(KeyboardInterrupt(), stop_after)))
        result = run(study, Toy(), options)
        assert result.exit_code == code
    assert result.plan["sequential"] == {"budget": 12}
    (table,) = result.tables
    assert table["n"].to_dict() == {arm: len(seeds) for arm, seeds in expected.items()}
    assert table.loc["clear", "n"] < table.loc["unsure", "n"] == table.loc["plain", "n"] < 12
    verdicts = [(verdict["arm"], verdict["verdict"], verdict["p_family"]) for verdict in result.verdicts]
    assert verdicts == [("clear", "win", None), ("unsure", "given up", None)]
    assert result.verdicts[0]["e_family"] >= 20
    page = result.page.read_text()
    assert "Evidence by seed" in page
    assert "no p holds" in page
    assert "wealth.png" in {file.name for file in result.files}
    said = io.StringIO()
    run(study, Toy(), replace(options, dry_run=True), console=Console(file=said))
    assert "clear: win\n  unsure: given up" in said.getvalue()
    assert "no trial is left" in said.getvalue()
