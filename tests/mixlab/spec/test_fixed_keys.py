"""Keys that a preset or the command line fixes win over levels and settings; ``test_study`` has the order of all."""

from collections.abc import Mapping
from typing import Any

import pytest

from mixlab import Arm, Study
from mixlab.cli import parse
from mixlab.configure import configure
from tests.mixlab.spec.minimal import with_attributes

ZETA = {("big", "cutmix"): 0.5, ("big", "fmix"): 1.0, ("huge", "cutmix"): 0.2}
STUDY = Study(
    name="toy",
    base={"dataset": "birds", "zeta": 9.0, "alpha": 9.0, "epochs": 800, "lr": 0.1},
    factors={
        "mixer": ("cutmix", "fmix"),
        "backbone": {"big": {"backbone": "big"}, "huge": {"backbone": "huge", "lr": 0.03}},
    },
    arms=(Arm("baseline", {}), Arm("none at all", {"zeta": 0.0})),
    seeds=range(2),
    settings=lambda config: {"alpha": 0.2, "zeta": ZETA.get((config["backbone"], config["mixer"]), 0.7)},
    presets={"quick": {"dataset": "cifar10"}},
)


TRAIN = with_attributes(
    presets={"paper": {}, "quick": {"backbone": "small", "lr": 0.05, "seeds": 1}, "smoke": {"backbone": "small"}}
)


def cells(study: Study, *argv: str) -> dict[str, Mapping[str, Any]]:
    configured = configure(study, TRAIN, parse(study, argv))
    return {trial.cell: trial.config for trial in configured.trials(TRAIN) if trial.seed == 0}


def test_a_preset_replaces_the_heavy_networks_by_its_own():
    found = cells(STUDY, "--preset", "quick")
    assert list(found) == [f"{m} · small · {a}" for m in ("cutmix", "fmix") for a in ("baseline", "none at all")]
    for config in found.values():
        assert (config["backbone"], config["lr"], config["dataset"]) == ("small", 0.05, "cifar10")
    assert found["cutmix · small · baseline"]["zeta"] == 0.7  # the settings of the network that is trained


@pytest.mark.parametrize(
    ("argv", "chosen", "lr"),
    [
        # What a level sets for its network goes with it: the base's lr, and not 0.03 of "huge".
        ("--preset smoke", ["cutmix · small · baseline", "fmix · small · baseline"], {0.1}),
        # Levels are chosen over the preset, whose other keys hold.
        ("--preset quick --backbones huge", ["cutmix · huge · baseline", "fmix · huge · baseline"], {0.05}),
        # One value for a factor leaves one level.
        ("--set mixer=fmix", ["fmix · big · baseline", "fmix · huge · baseline"], {0.1, 0.03}),
    ],
)
def test_levels_that_are_fixed_or_chosen(argv, chosen, lr):
    found = cells(STUDY, *argv.split(), "--arms", "baseline")
    assert list(found) == chosen
    assert {config["backbone"] for config in found.values()} == {name.split(" · ")[1] for name in chosen}
    assert {config["lr"] for config in found.values()} == lr


def test_the_command_line_wins_over_settings_and_the_preset():
    options = "--preset quick --set alpha=3 --set lr=0.5 --set zeta=2 --epochs 7 --dataset x"
    for cell, config in cells(STUDY, *options.split()).items():
        fixed = {"alpha": 3, "lr": 0.5, "zeta": 0.0 if "none" in cell else 2, "epochs": 7, "dataset": "x"}
        assert fixed.items() <= config.items()
