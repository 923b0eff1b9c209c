"""A spec becomes trials, with keys and overrides, and a plan, as the analysis reads it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mixlab import Arm, Study
from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from mixlab.spec.study_plan import study_plan
from mixlab.spec.trial import digest, trial_key
from tests.mixlab.spec import minimal

STUDY = Study(
    name="toy",
    base={"lr": 0.1, "zeta": 0.5},
    factors={"mixer": ("cutmix", "mixup")},
    arms=(Arm("baseline", {}), Arm("more", {"zeta": 1.0})),
    seeds=range(2),
)


class Version(minimal.Toy):
    """A trainable with one option; of later versions some attributes are others."""

    def __init__(self, **changed: Any) -> None:
        self.defaults: Mapping[str, Any] = {"lr": 0.1}
        vars(self).update(changed)

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.defaults, **config}


TRAIN = complete(Version(defaults={"depth": 18}))


def test_trials_are_the_product_of_levels_arms_and_seeds():
    trials = STUDY.trials(TRAIN)
    names = ("cutmix · baseline", "cutmix · more", "mixup · baseline", "mixup · more")
    assert [trial.name for trial in trials] == [f"{name} · seed {seed}" for name in names for seed in (0, 1)]
    assert (trials[-1].levels, trials[-1].arm, trials[-1].seed) == ({"mixer": "mixup"}, "more", 1)
    assert trials[0].config == {"lr": 0.1, "zeta": 0.5, "mixer": "cutmix", "depth": 18}
    assert trials[2].config["zeta"] == 1.0


def test_key_depends_on_configuration_and_seed_alone():
    keys = {trial.key for trial in STUDY.trials(TRAIN)}
    assert len(keys) == 8
    renamed = replace(STUDY, name="other", arms=(Arm("x", {}), Arm("y", {"zeta": 1.0})))
    assert {trial.key for trial in renamed.trials(TRAIN)} == keys
    assert trial_key({"a": 1, "b": 2}, 0) == trial_key({"b": 2, "a": 1}, 0)
    assert len({trial_key({"a": 1}, 0), trial_key({"a": 1}, 1), trial_key({"a": 1.5}, 0)}) == 3
    # A key that changed with a new version would make every finished run be trained again.
    assert trial_key({"lr": 0.1}, 0) == "c25877c8a5c52403"


def configs(study: Study) -> dict[str, tuple[Any, ...]]:
    """Return the values of three keys in each cell."""
    return {cell.name: tuple(cell.config.get(key) for key in ("lr", "zeta", "depth")) for cell in study.cells()}


def test_what_is_tuned_wins_over_arms_and_these_over_what_is_fixed_and_that_over_settings_and_levels():
    level = {"mixer": "fmix", "lr": 2.0, "depth": 8}
    study = replace(STUDY, factors={"mixer": {"fmix": level}})
    assert configs(study) == {"fmix · baseline": (2.0, 0.5, 8), "fmix · more": (2.0, 1.0, 8)}
    study = replace(study, settings=lambda config: {"lr": 3.0, "zeta": 10 * config["zeta"]})
    assert configs(study) == {"fmix · baseline": (3.0, 5.0, 8), "fmix · more": (3.0, 1.0, 8)}
    by_mixer = replace(study, arms=(*STUDY.arms, Arm("mixed", {"mixer": "mixup"})))  # settings see what an arm changes
    by_mixer = replace(by_mixer, settings=lambda config: {"lr": {"fmix": 3.0, "mixup": 6.0}[config["mixer"]]})
    assert configs(by_mixer)["fmix · mixed"] == (6.0, 0.5, 8)
    # Nor do they see a level that is fixed otherwise, with which goes whatever it sets.
    assert configs(by_mixer.with_fixed(mixer="mixup"))["mixup · baseline"] == (6.0, 0.5, None)
    with pytest.raises(BadInput, match=r"^lr must be text, a number, .*, got \{3\.0\}"):
        replace(study, settings=lambda config: {"lr": {3.0}}).cells()
    study = study.with_fixed(lr=4.0).with_fixed(zeta=4.0)
    assert configs(study) == {"fmix · baseline": (4.0, 4.0, 8), "fmix · more": (4.0, 1.0, 8)}
    study = replace(study, tuned={"fmix · more": {"lr": 5.0, "zeta": 5.0}})
    assert configs(study) == {"fmix · more": (5.0, 5.0, 8)}


def test_a_factor_that_is_fixed_has_one_level_and_levels_that_differ_in_fixed_keys_alone_are_one():
    assert STUDY.with_fixed(mixer=3).levels("mixer") == {"3": {}}
    assert len(STUDY.with_fixed(mixer="fmix").trials(TRAIN)) == 4
    given = {"a": {"lr": 1.0}, "b": {"lr": 2.0}, "c": {"lr": 1.0, "zeta": 2.0}}
    study = replace(STUDY, factors={"size": given})
    assert study.levels("size") == given
    assert study.with_fixed(lr=3.0).levels("size") == {"a": {}, "c": {"zeta": 2.0}}
    assert study.with_fixed(lr=3.0).with_levels("size", ["b"]).levels("size") == {"b": {}}


def test_selecting_arms_keeps_the_baseline_and_levels_may_be_new():
    assert [arm.name for arm in STUDY.with_arms(["more"]).arms] == ["baseline", "more"]
    chosen = {"mixup": {"mixer": "mixup"}, "new": {"mixer": "new"}}
    assert STUDY.with_fixed(mixer="x").with_levels("mixer", ["mixup", "new"]).levels("mixer") == chosen
    assert STUDY.with_levels("depth", ["18"]).levels("depth") == {"18": {"depth": "18"}}


def key(train: object, **config: Any) -> str:
    completed = complete(train)
    return digest(completed.hashed(completed.resolve(config).flat))


def test_which_changes_of_a_default_move_which_keys():
    with_option = Version(defaults={"lr": 0.1, "swa": False}, neutral={"swa": False})
    assert key(with_option) == key(Version())
    assert key(with_option, lr=1.0) == key(Version(), lr=1.0)
    assert key(with_option, swa=True) != key(Version())
    changed = Version(defaults={"lr": 0.2})
    assert key(changed) != key(Version())
    assert key(changed, lr=0.1) == key(Version())
    assert complete(Version(numbers=2)).hashed({"lr": 0.1}) == {"lr": 0.1, "numbers": 2}
    moved = Version(numbers=lambda config: 1 + (config["lr"] > 0.5))
    assert [key(moved, lr=lr) == key(Version(), lr=lr) for lr in (0.1, 1.0)] == [True, False]
    assert complete(Version()).hashed({"lr": 0.1}) == {"lr": 0.1}


def test_a_file_counts_by_its_content(tmp_path):
    paths = [tmp_path / name for name in ("a.pt", "b.pt", "c.pt")]
    for path, content in zip(paths, (b"one", b"one", b"two"), strict=True):
        path.write_bytes(content)
    one, same, two = (key(Version(files=("teacher",)), teacher=str(path)) for path in paths)
    assert one == same != two
    assert one != key(Version(files=("teacher",)), teacher=None)


ARMS = (Arm("a", {}), Arm("b", {"lr": 0.2}), Arm("c", {"lr": 0.3}, against="b", control=True))


def test_a_plan_says_all_that_the_tables_need():
    study = replace(minimal.STUDY, base={"lr": 0.1, "epochs": 3}, arms=ARMS, factors={"net": ("x", "y")}, seeds=(7, 5))
    trials = study.trials(minimal.TRAIN)
    study = replace(study, tried={"x · a": 6})
    plan = study_plan(study, trials, "quick", minimal.TRAIN, {"seeds": [3]})
    rows = plan.pop("trials")
    expected = {"study": "toy", "preset": "quick", "factors": ["net"], "arms": ["a", "b", "c"], "baseline": "a"}
    expected |= {"against": {"b": "a", "c": "b"}, "controls": ["c"], "design": None, "family": "study", "delta": None}
    expected |= {"tried": {"x · a": 6}, "winners": {}}
    expected |= {"metric": "rmse_last", "metrics": [metric.json() for metric in minimal.TRAIN.metrics]}
    expected |= {"sequential": None, "looks": {"seeds": [3]}, "config": {"epochs": 3}}  # the keys that all trials share
    assert plan == expected
    each = [(net, arm, seed) for net in ("x", "y") for arm in ("a", "b", "c") for seed in (7, 5)]
    assert rows == [
        {"key": trial.key, "arm": arm, "levels": {"net": net}, "seed": seed}
        for trial, (net, arm, seed) in zip(trials, each, strict=True)
    ]
    own = replace(study, metric="rmse", family="table", delta=0.5, sequential=True)
    told = study_plan(own, trials, "quick", minimal.TRAIN)
    changed = {"metric": "rmse", "family": "table", "delta": 0.5, "sequential": {"budget": 2}, "looks": {}}
    assert told == {**plan, "trials": rows, **changed}
