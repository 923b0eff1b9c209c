"""The report of a search, on real Optuna and MLflow stores: its claims, its warnings and its figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.figures.search_plots import plot_map
from analysis.records.search_trials import SearchRecord, Tuned, position
from analysis.search_report import SearchReport, main, report, write_page
from analysis.statistics.search_findings import cautions, claims, landscape

SPACE = {
    "zeta": {"kind": "Float", "low": 0.05, "high": 2, "log": True, "step": None, "when": {}},
    "alpha": {"kind": "Float", "low": 0.1, "high": 4, "log": True, "step": None, "when": {}},
}
DISTRIBUTIONS = {name: FloatDistribution(s["low"], s["high"], log=True) for name, s in SPACE.items()}  # type: ignore[arg-type]
ARMS = ("cutmix", "mixup")

Value = Callable[[dict[str, float]], float]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.statistics.search_findings.RESAMPLES", 2)  # each fits a forest


@pytest.fixture
def no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the drawing, which is what a page takes longest for."""
    monkeypatch.setattr("analysis.search_report.png", lambda figure: b"")


def trial(params: dict[str, Any], value: float | None, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    distributions = {name: DISTRIBUTIONS[name] for name in params if name in DISTRIBUTIONS}
    if "term" in params:
        distributions["term"] = CategoricalDistribution(("s", "su"))  # type: ignore[assignment]
    reported = {1: value} if value is not None else {}
    shown = value if state != TrialState.FAIL else None
    return create_trial(
        state=state,
        value=shown,
        params=params,
        distributions=distributions,
        intermediate_values=reported,  # type: ignore[arg-type]
    )


def points(count: int, seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    ends = {name: (math.log(s["low"]), math.log(s["high"])) for name, s in SPACE.items()}  # type: ignore[arg-type]
    return [{name: math.exp(rng.uniform(*both)) for name, both in ends.items()} for _ in range(count)]


def peaked(params: dict[str, float]) -> float:
    """Return an objective that is best at zeta 0.4; alpha hardly matters."""
    return 60 - 5 * math.log(params["zeta"] / 0.4) ** 2 - 0.05 * math.log(params["alpha"]) ** 2


@pytest.fixture
def searched(track, make_plan, tmp_path) -> Callable[..., Any]:
    """Return a function that writes a search from each arm's trials and the confirmation's values by (arm, seed)."""

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
            confirmation = make_plan("search_toy", tuple(trials), seeds, factors={})
            tracked.add_plan(confirmation, "c0ffee")
            tracked.add_all(confirmation, confirmed)
        return tracked

    return write


def judged(tracked: Any) -> SearchReport:
    return report(tracked.uri, "search_toy")


def test_winner_and_confirmation_stand_side_by_side_and_censored_trials_never_win(searched) -> None:
    some = [trial(p, peaked(p)) for p in points(20, 0)]
    best = max(some, key=lambda t: t.value or 0)
    some.append(trial({"zeta": 0.3, "alpha": 0.3}, 99.0, TrialState.PRUNED))
    some.append(trial({"zeta": 1.9, "alpha": 0.3}, None, TrialState.FAIL))
    confirmed = {(arm, seed): 70.0 + seed for arm in ARMS for seed in range(3)}
    found = judged(searched({"cutmix": some, "mixup": [trial(p, peaked(p)) for p in points(20, 1)]}, confirmed))
    row = found.winners.set_index("arm").loc["cutmix"]
    assert row["zeta"] == f"{best.params['zeta']:.4g}"
    assert row["val_top1 in the search"] == f"{best.value:.4g}"
    assert row["test_top1_median10 on fresh seeds"] == "71.00 ± 1.00 (n = 3)"
    assert [row[name] for name in ("complete", "pruned", "failed", "unfinished")] == ["20", "1", "1", "0"]


@pytest.mark.slow
def test_a_decisive_parameter_is_claimed_with_its_interval(searched, monkeypatch) -> None:
    monkeypatch.setattr("analysis.statistics.search_findings.RESAMPLES", 20)
    trials = {arm: [trial(p, peaked(p)) for p in points(40, place)] for place, arm in enumerate(ARMS)}
    found = judged(searched(trials))
    for arm in ARMS:
        table = found.landscapes[arm].importance
        assert list(table.index) == ["zeta", "alpha"]
        assert table["importance"].sum() == pytest.approx(1)
        assert table.loc["zeta", "importance"] > 0.8
        assert table.loc["zeta", "low"] > table.loc["alpha", "high"]
        assert (table["low"] <= table["high"]).all()
        assert any(arm in claim and "zeta" in claim and claim.endswith("zeta most.") for claim in found.claims)


def test_where_most_were_stopped_early_all_are_compared_at_the_epoch_that_all_reached() -> None:
    study = optuna.create_study(direction="maximize")
    for place, params in enumerate(points(40, 0)):
        curve = {1: peaked(params), **({2: 100.0 - peaked(params)} if place < 3 else {})}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if place < 3 else TrialState.PRUNED,
                value=curve[max(curve)],
                params=params,
                distributions=DISTRIBUTIONS,
                intermediate_values=curve,
            )
        )
    seen = landscape(Tuned("cutmix", study, SPACE))
    assert (seen.of.epoch, len(seen.of.trials)) == (1, 40)
    assert seen.importance.loc["zeta", "importance"] > 0.8
    assert seen.p < 0.05


def test_the_map_marks_the_best_where_it_is() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial(p, peaked(p)) for p in points(20, 0)])
    arm = Tuned("cutmix", study, SPACE)
    axis = plot_map(arm, "zeta", "alpha", "val_top1").axes[0]
    star = next(line for line in axis.lines if line.get_label() == "best")
    where = {axis.get_xlabel(): star.get_xdata()[0], axis.get_ylabel(): star.get_ydata()[0]}
    assert arm.best is not None
    assert where == arm.best.params


@pytest.mark.slow
def test_on_a_null_objective_nothing_is_claimed() -> None:
    """At most 3 of 20 searches of two arms in pure noise claim anything: each may with probability 0.05."""
    claimed = 0
    for repetition in range(20):
        rng = np.random.default_rng(repetition)
        arms = []
        for _ in ARMS:
            study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=repetition))
            for _ in range(30):
                asked = study.ask(DISTRIBUTIONS)
                study.tell(asked, float(rng.normal(60, 1)))
            arms.append(study)
        tuned = [Tuned(name, study, SPACE) for name, study in zip(ARMS, arms, strict=True)]
        record = SearchRecord({}, tuned)
        seen = {arm.name: landscape(arm) for arm in tuned}
        claimed += bool(claims(record, seen, None))
    assert claimed <= 3


def test_arms_that_are_the_same_are_not_told_apart_and_the_budget_is_blamed(searched) -> None:
    rng = np.random.default_rng(0)
    trials = {arm: [trial(p, 60 + rng.normal()) for p in points(30, place)] for place, arm in enumerate(ARMS)}
    confirmed = {(arm, seed): 70 + float(rng.normal()) for arm in ARMS for seed in range(3)}
    found = judged(searched(trials, confirmed))
    assert found.claims == []
    assert any("too small to tell the arms apart: on 3 fresh seeds" in caution for caution in found.cautions)
    assert "No claim" in found.text


def test_a_gain_that_holds_on_fresh_seeds_is_claimed(searched) -> None:
    trials = {arm: [trial(p, 60.0) for p in points(4, place)] for place, arm in enumerate(ARMS)}
    confirmed = {
        (arm, seed): 70 + 0.1 * seed + (arm == "mixup") * (2 + 0.01 * seed) for arm in ARMS for seed in range(8)
    }
    found = judged(searched(trials, confirmed))
    assert found.claims == ["mixup is better than cutmix by 2.04 (95 % interval +2.01 to +2.06), both tuned."]
    assert not any("tell the arms apart" in caution for caution in found.cautions)


@pytest.mark.parametrize(("zeta", "end"), [(0.0505, "low end is 0.05"), (1.98, "high end is 2")])
def test_a_best_on_the_border_is_warned_of(searched, zeta: float, end: str) -> None:
    inside = [trial(p, 10.0) for p in points(10, 0)]
    at_border = [*inside, trial({"zeta": zeta, "alpha": 1.0}, 20.0)]
    safe = [*inside, trial({"zeta": 0.4, "alpha": 1.0}, 20.0)]
    found = judged(searched({"cutmix": at_border, "mixup": safe}))
    warned = [caution for caution in found.cautions if "border" in caution]
    assert len(warned) == 1
    assert warned[0].startswith("cutmix: the best zeta")
    assert end in warned[0]


@pytest.mark.parametrize(("failed", "warned"), [(4, False), (5, True)])
def test_a_quarter_of_failures_is_warned_of(searched, failed: int, warned: bool) -> None:
    some = [trial(p, peaked(p)) for p in points(15, 0)]
    some += [trial(p, None, TrialState.FAIL) for p in points(failed, 1)]
    found = judged(searched({"cutmix": some}))
    assert any(f"{failed} of {15 + failed} trials failed" in caution for caution in found.cautions) == warned


def test_too_few_trials_claim_no_importance(searched) -> None:
    found = judged(searched({"cutmix": [trial(p, peaked(p)) for p in points(6, 0)]}))
    assert found.landscapes["cutmix"].importance.empty
    assert found.claims == []
    assert any("6 trials that can be compared are too few" in caution for caution in found.cautions)


def test_parameters_under_a_condition_are_named_as_left_out(searched) -> None:
    space = {"term": {"kind": "Choice", "values": ["s", "su"], "when": {}}, **SPACE}
    some = [trial({**p, "term": "su"}, peaked(p)) for p in points(20, 0)]
    some += [trial({"alpha": p["alpha"], "term": "s"}, 50.0) for p in points(20, 1)]
    found = judged(searched({"cutmix": some}, space=space))
    assert found.landscapes["cutmix"].left_out == ["zeta"]
    assert set(found.landscapes["cutmix"].importance.index) == {"term", "alpha"}


@pytest.mark.parametrize("complete", [0, 1, 12])
def test_the_page_is_whole_whatever_there_is(searched, no_pixels, tmp_path: Path, complete: int) -> None:
    some = [trial(p, peaked(p)) for p in points(complete, 0)]
    some += [trial(p, 10.0, TrialState.PRUNED) for p in points(3, 1)]
    some += [trial(points(1, 2)[0], None, TrialState.FAIL)]
    found = judged(searched({"cutmix & <co>": some}))
    text = write_page(found, tmp_path / "pages" / "search.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == (2 if complete == 0 else 4 if complete < 10 else 5)
    assert "cutmix &amp; &lt;co&gt;" in text
    assert "http" not in text.replace("http-equiv", "")
    for part in ("fANOVA", "Beware", "Optimisation history", "Map of zeta and alpha"):
        assert part in text


def test_the_command(searched, tmp_path, capsys) -> None:
    tracked = searched({"cutmix": [trial(p, peaked(p)) for p in points(12, 0)]})
    out = tmp_path / "s.html"
    assert main(["search_toy", "--tracking-uri", tracked.uri, "--out", str(out)]) == 0
    assert out.stat().st_size > 10_000
    shown = capsys.readouterr().out
    assert "cutmix" in shown
    assert shown.strip().endswith(str(out))
    assert main(["search_toi", "--tracking-uri", tracked.uri]) == 2
    assert "the nearest is 'search_toy'" in capsys.readouterr().err
    (tmp_path / "optuna.journal").unlink()
    assert main(["search_toy", "--tracking-uri", tracked.uri]) == 2
    assert "--optuna-storage" in capsys.readouterr().err


def test_positions_are_on_the_scale_of_the_range() -> None:
    assert position(SPACE["zeta"], math.sqrt(0.05 * 2)) == pytest.approx(0.5)
    assert position({"low": 1, "high": 3, "log": False}, 1.5) == pytest.approx(0.25)


def test_cautions_count_what_has_not_ended(searched) -> None:
    some = [trial(p, peaked(p)) for p in points(12, 0)]
    running = create_trial(state=TrialState.RUNNING, params={}, distributions={})
    found = judged(searched({"cutmix": [*some, running]}))
    assert any("1 trials have not ended" in caution for caution in cautions(found.search, None))


def test_a_race_says_how_many_seeds_every_trial_got_and_why_no_more(searched, no_pixels, tmp_path: Path) -> None:
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
        "1 stopped early in its first seed, 1 failed, 1 took the result of an earlier trial just like it." in found.text
    )
    page = write_page(found, tmp_path / "search.html").read_text()
    assert f"<tr><td>1</td><td>1</td><td>50</td><td>{out}</td></tr>" in page
    assert "<tr><td>0</td><td>2</td><td>60</td><td>won</td></tr>" in page
