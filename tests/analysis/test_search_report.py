"""The report of a search, on real Optuna and MLflow stores: its text, its page and the command."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from matplotlib.figure import Figure
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from analysis import search_report
from analysis.records.search_trials import load_search
from analysis.search_report import SearchReport, main, report, write_page
from analysis.words.races import race_sentence
from mixlab.spec.trial import cell_name
from tests.analysis.pages import Page
from tests.analysis.planned import make_plan
from tests.analysis.tuned_arms import ARMS, SPACE, peaked, points, trial, tuned


@pytest.fixture(autouse=True)
def small_forests(monkeypatch) -> None:
    """Say little of the parameters, and soon: what is known of them is tested with ``importance``.

    Nothing is said of fewer than ten trials, for which no forest has to grow at all.
    """
    monkeypatch.setattr("analysis.statistics.importance.PARTS", 2)  # each fits a forest


@pytest.fixture
def without_figures(monkeypatch) -> None:
    """Leave the figures of each arm empty: they take more time than all else."""
    for name in ("plot_history", "plot_map", "plot_slices", "plot_parallel", "plot_importance"):
        monkeypatch.setattr(search_report, name, lambda *_, **__: Figure())


@pytest.fixture
def searched(track, tmp_path) -> Callable[..., Any]:
    """Return a function that writes a search from the trials and the confirmation's values by (cell, seed).

    The cells are the arms or, with a mixer as a factor, such as ``cutmix · plain``.
    """

    def write(trials: dict[str, list[FrozenTrial]], confirmed: dict[tuple[str, int], float] | None = None, **plan: Any):
        tracked = track("search_toy")
        file = tmp_path / "optuna.journal"
        storage = JournalStorage(JournalFileBackend(str(file)))
        for arm, found in trials.items():
            study = optuna.create_study(storage=storage, study_name=f"search_toy/{arm}/x", direction="maximize")
            study.add_trials(found)
        about = {
            "search": "search_toy",
            "preset": "quick",
            "storage": f"journal://{'/'}{file}",
            "confirmation": "c0ffee",
            "arms": {arm: f"search_toy/{arm}/x" for arm in trials},
            "objective": "val_top1",
            "held_out": True,
            "direction": "maximize",
            "space": SPACE,
            "per_arm": 30,
            "sampler": "tpe",
            "scheduler": "asha",
            "search_seeds": [1000],
            "seeds": [0, 1, 2],
            **plan,
        }
        run = tracked.client.create_run(tracked.experiment, tags={"mixlab.level": "search", "mixlab.plan": "5ea4c4"})
        tracked.client.log_dict(run.info.run_id, about, "plan.json")
        tracked.client.set_terminated(run.info.run_id)
        if confirmed:
            seeds = 1 + max(seed for _, seed in confirmed)
            mixers, arms = zip(*(name.rpartition(" · ")[::2] for name in trials), strict=True)
            factors = {"mixer": tuple(dict.fromkeys(mixers))} if any(mixers) else {}
            confirmation = make_plan("search_toy", tuple(dict.fromkeys(arms)), seeds, factors=factors)

            def value(each: dict[str, Any]) -> float:
                return confirmed[cell_name(each["levels"].values(), each["arm"]), each["seed"]]

            tracked.add_all(confirmation, value, plan_hash="c0ffee")
        return tracked

    return write


def judged(tracked: Any) -> SearchReport:
    return report(tracked.uri, "search_toy")


@pytest.mark.slow
def test_winner_and_confirmation_stand_side_by_side_and_censored_trials_never_win(searched):
    some = [trial(p, peaked(p)) for p in points(8, 0)]
    best = max(some, key=lambda t: t.value or 0)
    some.append(trial({"zeta": 0.3, "alpha": 0.3}, 99.0, TrialState.PRUNED))
    some.append(trial({"zeta": 1.9, "alpha": 0.3}, None, TrialState.FAIL))
    confirmed = {(arm, seed): 70.0 + seed for arm in ARMS for seed in range(3)}
    tracked = searched({"cutmix": some, "mixup": [trial({"zeta": 0.4, "alpha": 1.0}, 60.0)]}, confirmed)
    row = judged(tracked).winners.set_index("arm").loc["cutmix"]
    assert row["zeta"] == f"{best.params['zeta']:.4g}"
    assert row["val_top1 in the search"] == f"{best.value:.4g}"
    assert row["test_top1_median10 on fresh seeds"] == "71.00 ± 1.00 (n = 3)"
    assert row["trials"] == "8 complete, 1 stopped early, 1 failed"


@pytest.mark.slow
def test_every_table_of_a_confirmation_is_shown_and_a_loss_is_told(searched, without_figures, tmp_path):
    cells = [f"{mixer} · {arm}" for mixer in ("cutmix", "mixup") for arm in ("plain", "sumix")]
    trials = {cell: [trial(p, 60.0) for p in points(4, place)] for place, cell in enumerate(cells)}
    shift = {"mixup · sumix": lambda seed: -3.0, "cutmix · sumix": lambda seed: 0.1 * seed * (-1) ** seed}
    confirmed = {(c, seed): 70.0 + seed + shift.get(c, lambda seed: 0)(seed) for c in cells for seed in range(6)}
    found = judged(searched(trials, confirmed))
    shown = found.winners.set_index("arm")["test_top1_median10 on fresh seeds"]
    assert shown["cutmix · plain"] == shown["mixup · plain"] == "72.50 ± 1.87 (n = 6)"
    assert shown["mixup · sumix"] == "69.50 ± 1.87 (n = 6)"
    (claim,) = found.claims
    assert claim == "mixer = mixup: sumix is worse than plain, both tuned: -3.00 (95 % interval -3.00 to -3.00)."
    assert not any("tell the arms apart" in caution for caution in found.cautions)
    page = write_page(found, tmp_path / "search.html")[0].read_text(encoding="utf-8")
    for level in ("cutmix", "mixup"):
        assert f"<h3>mixer = {level}: top-1 accuracy" in page


@pytest.mark.parametrize(
    ("complete", "pictures"),
    [(0, 2), (1, 2), (2, 4), pytest.param(12, 5, marks=pytest.mark.slow)],  # one trial has no slices and no parallels
)
def test_the_page_is_whole_whatever_there_is(searched, tmp_path, complete, pictures):
    some = [trial(p, peaked(p)) for p in points(complete, 0)]
    some += [trial(p, 10.0, TrialState.PRUNED) for p in points(3, 1)]
    some += [trial(points(1, 2)[0], None, TrialState.FAIL)]
    found = judged(searched({"cutmix & <co>": some}, controls=["cutmix & <co>"]))
    assert list(found.winners["arm"]) == ["cutmix & <co> (control)"]
    page, *files = write_page(found, tmp_path / "pages" / "search.html")
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == pictures
    names = ["history", "map", "slices", "parallel", "importance"][:pictures]
    assert set(files) == set((page.parent / "search").iterdir())
    assert [file.name for file in files if file.suffix == ".png"] == [f"cutmix-co-{name}.png" for name in names]
    assert "<h2>cutmix &amp; &lt;co&gt; (control)</h2>" in text
    assert "http" not in text.replace("http-equiv", "")
    for part in ("fANOVA", "Beware", "Optimisation history", "Map of zeta and alpha", "on held-out data"):
        assert part in text


@pytest.mark.parametrize(("other", "shown"), [("alpha", {"Parallel coordinates"}), ("zeta", {"Map of zeta and alpha"})])
def test_a_parameter_that_an_arm_has_in_no_trial_or_in_some(searched, tmp_path, other, shown):
    """A condition left zeta out: in the whole arm, or in all of its complete trials but one."""
    some = points(4, 0)
    trials = [trial({"alpha": point["alpha"]}, point["alpha"]) for point in some[1:]]
    found = judged(searched({"plain": [trial({other: some[0][other]}, 0.05), *trials]}))
    assert found.winners.loc[0, "zeta"] == "–"
    text = write_page(found, tmp_path / "search.html")[0].read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 3
    assert {name for name in ("Parallel coordinates", "Map of zeta and alpha") if name in text} == shown


def test_the_map_is_of_the_parameters_that_matter_most(searched, without_figures, tmp_path):
    found = judged(searched({"plain": [trial(p, peaked(p)) for p in points(2, 0)]}))
    for first, second in (("zeta", "alpha"), ("alpha", "zeta")):
        shares = pd.DataFrame({"importance": [0.8, 0.2], "low": 0.0, "high": 1.0}, [first, second])
        found.landscapes["plain"] = replace(found.landscapes["plain"], importance=shares)
        page, *_ = write_page(found, tmp_path / "search.html")
        assert f"<h3>Map of {first} and {second}</h3>" in page.read_text()


def test_the_page_says_what_was_searched_and_of_held_out_data_only_if_some_is(searched, without_figures, tmp_path):
    found = judged(searched({"plain": [trial(p, peaked(p)) for p in points(2, 0)]}))
    assert "No claim" in found.text

    def page() -> str:
        return Page(write_page(found, tmp_path / "search.html")[0].read_text(encoding="utf-8")).text

    found.search.plan["scheduler"] = "none"  # earlier starts may have had another one
    assert "As last started: 30 trials per arm by tpe, none stopped early, to maximize val_top1 on held-out" in page()
    found.search.plan["tuning"] = {"validation": 0.1, "epochs": 200}  # the winners may have trained for longer
    assert "val_top1 on held-out data, with validation=0.1, epochs=200." in page()
    del found.search.plan["tuning"]
    confirmed = "val_top1 on the data that it is also confirmed on, as nothing is held out."
    found.search.plan["held_out"] = False
    assert (confirmed in page(), "held-out" in page()) == (True, False)
    del found.search.plan["held_out"]  # a plan of an earlier version does not say
    assert (confirmed in page(), "held-out" in page()) == (False, False)


@pytest.mark.slow
def test_the_command_writes_a_page_and_lets_optuna_be_silent(searched, painted, tmp_path, capsys):
    tracked = searched({"cutmix": [trial(p, peaked(p)) for p in points(8, 0)]})
    out = tmp_path / "s.html"
    optuna.logging.set_verbosity(optuna.logging.INFO)  # by which it speaks of every resample
    assert main(["search_toy", "--tracking-uri", tracked.uri, "--out", str(out)]) == 0
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
    assert out.stat().st_size > 10_000
    shown = capsys.readouterr().out
    assert "cutmix" in shown
    assert shown.endswith(f"\n{out}\n{out.with_suffix('')}\n")


def test_a_search_that_there_is_not_and_trials_that_are_gone(searched, tmp_path, capsys):
    tracked = searched({"cutmix": [trial(p, peaked(p)) for p in points(1, 0)]})
    assert main(["search_toi", "--tracking-uri", tracked.uri]) == 2
    assert "did you mean 'search_toy'?" in capsys.readouterr().err
    (other := tmp_path / "new?password=secret").touch()
    assert main(["search_toy", "--tracking-uri", tracked.uri, "--optuna-storage", str(other)]) == 2
    assert "/new?password=***' has no Optuna study" in capsys.readouterr().err
    (tmp_path / "optuna.journal").unlink()
    assert main(["search_toy", "--tracking-uri", tracked.uri]) == 2
    assert "--optuna-storage" in capsys.readouterr().err


def test_the_trials_of_a_folder_that_was_copied_are_its_own(searched, tmp_path):
    """The copy would tell what the search has done in the first folder since."""
    searched({"cutmix": [trial(p, peaked(p)) for p in points(1, 0)]})
    copy = tmp_path.parent / f"{tmp_path.name} copy" / tmp_path.name
    shutil.copytree(tmp_path, copy)

    def storage(folder: Path) -> str:
        return str(load_search(f"sqlite:///{folder}/mlflow.db", "search_toy").plan["storage"])

    assert storage(tmp_path) == f"journal:///{tmp_path}/optuna.journal"
    assert storage(copy) == f"journal:///{copy}/optuna.journal"
    (copy / "optuna.journal").unlink()
    assert storage(copy) == storage(tmp_path)


def test_a_race_says_how_many_seeds_every_trial_got_and_why_no_more(searched, without_figures, tmp_path):
    some = points(5, 0)
    out = "out of reach: even 1 more seed as good as the best so far, 62, would leave its mean behind 60 of trial 0"
    races = ([58.0, 62.0], ""), ([50.0], out), ([59.0, 60.0], "")
    trials = [trial(point, 60.0) for point in some[:3]]
    trials[1].state = TrialState.PRUNED
    for each, (values, why) in zip(trials, races, strict=True):
        each.user_attrs = {"mixlab.race": {"values": values, "out": why}}
    trials += [trial(some[3], 40.0, TrialState.PRUNED), trial(some[4], None, TrialState.FAIL), trial(some[0], 60.0)]
    trials[5].user_attrs = {"mixlab.same_as": 0}
    found = judged(searched({"cutmix": trials}, racing=True, search_seeds=[1000, 1001]))
    assert (
        "cutmix: 5 of 12 seeds were trained for 6 trials: 1 won, 1 out of reach, 1 had all seeds, "
        "1 stopped early in its first seed, 1 failed, 1 took the result of an earlier trial just like it."
        in found.text.replace("\n", " ")
    )
    page = write_page(found, tmp_path / "search.html")[0].read_text()
    assert race_sentence(tuned(trials[4:5]), 2) == "cutmix: 0 of 2 seeds were trained for 1 trial: 1 failed."
    assert f'<tr><td>1</td><td>1</td><td>50</td><td class="text long-text">{out}</td></tr>' in page
    assert '<tr><td>0</td><td>2</td><td>60</td><td class="text">won</td></tr>' in page
