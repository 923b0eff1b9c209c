"""A spec becomes trials: keys, pairing, overrides, and refusals. An option with a neutral default changes no key."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mixlab import Arm, Study
from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from mixlab.spec.trial import digest, trial_key
from tests.mixlab.spec.minimal import Toy

STUDY = Study(
    name="toy",
    base={"lr": 0.1, "zeta": 0.5},
    factors={"mixer": ("cutmix", "mixup")},
    arms=(Arm("baseline", {}), Arm("more", {"zeta": 1.0})),
    seeds=range(2),
)


class Deep(Toy):
    """A trainable with a default."""

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {"depth": 18, **config}


TRAIN = complete(Deep())


def test_trials_are_the_product_of_levels_arms_and_seeds():
    trials = STUDY.trials(TRAIN)
    assert [(t.levels["mixer"], t.arm, t.seed) for t in trials] == [
        (mixer, arm, seed) for mixer in ("cutmix", "mixup") for arm in ("baseline", "more") for seed in (0, 1)
    ]
    assert trials[0].config == {"lr": 0.1, "zeta": 0.5, "mixer": "cutmix", "depth": 18}
    assert trials[2].config["zeta"] == 1.0
    assert trials[-1].name == "mixup · more · seed 1"


def test_key_depends_on_configuration_and_seed_alone():
    keys = {trial.key for trial in STUDY.trials(TRAIN)}
    assert len(keys) == 8
    renamed = Study(name="other", base=STUDY.base, arms=(Arm("x", {}), Arm("y", {"zeta": 1.0})), factors=STUDY.factors)
    assert {trial.key for trial in replace(renamed, seeds=range(2)).trials(TRAIN)} == keys
    assert trial_key({"a": 1, "b": 2}, 0) == trial_key({"b": 2, "a": 1}, 0)
    assert trial_key({"a": 1}, 0) != trial_key({"a": 1}, 1)
    assert trial_key({"a": 1}, 0) != trial_key({"a": 1.5}, 0)
    # A key that changed with a new version would make every finished run be trained again.
    assert digest({"config": {"lr": 0.1}, "seed": 0}) == "c25877c8a5c52403"


def configs(study: Study) -> dict[str, tuple[Any, ...]]:
    """Return the values of three keys in each cell."""
    return {cell.name: tuple(cell.config.get(key) for key in ("lr", "zeta", "depth")) for cell in study.cells()}


def test_what_is_tuned_wins_over_arms_and_these_over_what_is_fixed_and_that_over_settings_and_levels():
    level = {"mixer": "fmix", "lr": 2.0, "depth": 8}
    study = replace(STUDY, factors={"mixer": {"fmix": level}})
    assert configs(study) == {"fmix · baseline": (2.0, 0.5, 8), "fmix · more": (2.0, 1.0, 8)}
    study = replace(study, settings=lambda config: {"lr": 3.0, "zeta": 10 * config["zeta"]})
    assert configs(study) == {"fmix · baseline": (3.0, 5.0, 8), "fmix · more": (3.0, 1.0, 8)}
    study = study.with_fixed(lr=4.0, zeta=4.0)
    assert configs(study) == {"fmix · baseline": (4.0, 4.0, 8), "fmix · more": (4.0, 1.0, 8)}
    study = replace(study, tuned={"fmix · more": {"lr": 5.0, "zeta": 5.0}})
    assert configs(study) == {"fmix · more": (5.0, 5.0, 8)}


def test_a_factor_that_is_fixed_has_one_level_and_levels_that_differ_in_fixed_keys_alone_are_one():
    assert STUDY.with_fixed(mixer="fmix").levels("mixer") == {"fmix": {}}
    assert len(STUDY.with_fixed(mixer="fmix").trials(TRAIN)) == 4
    given = {"a": {"lr": 1.0}, "b": {"lr": 2.0}, "c": {"lr": 1.0, "zeta": 2.0}}
    study = replace(STUDY, factors={"size": given})
    assert study.levels("size") == given
    assert study.with_fixed(lr=3.0).levels("size") == {"a": {}, "c": {"zeta": 2.0}}
    assert study.with_fixed(lr=3.0).with_levels("size", ["b"]).levels("size") == {"b": {}}
    assert STUDY.with_fixed(mixer="x").with_levels("mixer", ["mixup", "new"]).levels("mixer") == {
        "mixup": {"mixer": "mixup"},
        "new": {"mixer": "new"},
    }


def test_selecting_arms_keeps_the_baseline_and_levels_may_be_new():
    assert [arm.name for arm in STUDY.with_arms(["more"]).arms] == ["baseline", "more"]
    assert list(STUDY.with_levels("mixer", ["mixup", "fmix"]).levels("mixer")) == ["mixup", "fmix"]
    assert STUDY.with_levels("depth", ["18"]).levels("depth") == {"18": {"depth": "18"}}


def test_an_arm_that_is_not_there_and_no_level_at_all_are_refused():
    with pytest.raises(BadInput, match="unknown arm 'mor'; did you mean 'more'"):
        STUDY.with_arms(["mor"])
    with pytest.raises(BadInput, match="no level of the factor mixer is named: give at least one"):
        STUDY.with_levels("mixer", [])
    with pytest.raises(BadInput, match=r"a level of 'mixer' needs a name in text, got \[\[0.0\]\]"):
        STUDY.with_levels("mixer", [[[0.0]]])


class Version(Toy):
    """A trainable with one option; of later versions some attributes are others."""

    def __init__(self, **changed: Any) -> None:
        self.defaults: Mapping[str, Any] = {"lr": 0.1}
        vars(self).update(changed)

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.defaults, **config}


def key(train: object, **config: Any) -> str:
    completed = complete(train)
    return digest(completed.hashed(completed.resolve(config).flat))


def test_an_option_with_a_neutral_default_moves_no_key():
    later = Version(defaults={"lr": 0.1, "swa": False}, neutral={"swa": False})
    assert key(later) == key(Version())
    assert key(later, lr=1.0) == key(Version(), lr=1.0)
    assert key(later, swa=True) != key(Version())


def test_a_changed_default_moves_the_keys_that_it_concerns():
    later = Version(defaults={"lr": 0.2})
    assert key(later) != key(Version())
    assert key(later, lr=0.1) == key(Version())


def test_a_new_version_of_the_numbers_moves_every_key():
    later = Version(numbers=2)
    assert {key(later, lr=lr) for lr in (0.1, 0.2)}.isdisjoint({key(Version(), lr=lr) for lr in (0.1, 0.2)})
    assert complete(later).hashed({"lr": 0.1}) == {"lr": 0.1, "numbers": 2}
    assert complete(Version()).hashed({"lr": 0.1}) == {"lr": 0.1}


def test_a_file_counts_by_its_content(tmp_path):
    reader = Version(files=("teacher",))
    first, second = tmp_path / "a.pt", tmp_path / "b.pt"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    before = key(reader, teacher=str(first))
    assert key(reader, teacher=str(second)) == before
    assert key(reader, teacher=None) != before
    second.write_bytes(b"two")
    assert key(Version(files=("teacher",)), teacher=str(second)) != before
