"""The studies of SUMix beyond its tables: definitions, factorial, zeta, maps and mixers."""

from tests.studies.cells import cells, load, published

SUMIX = ("sumix_cam", "sumix_definitions", "sumix_factorial", "sumix_mixers_cifar100", "sumix_zeta")


def test_the_networks_of_the_maps_are_those_of_the_paper():
    _, header = load("sumix_cam")
    found = published("sumix_cam")
    values = {arm: number.value for (arm,), number in found.items()}
    assert values == {"none": 70.04, "CutMix": 68.95, "CutMix + SUMix": 69.71}
    for arm, value in values.items():
        assert f"    {arm:<14}  {value:.2f}" in header


def test_zeta_and_alpha_are_crossed_and_the_papers_choice_is_among_them():
    study, header = load("sumix_zeta")
    found = cells("sumix_zeta").values()
    crossed = {(config["mixer.alpha"], config["sumix.zeta"]) for config in found}
    assert {(0.2, zeta) for zeta in (0.1, 0.2, 0.5, 1.0)} <= crossed
    assert len(found) == 4 * 2 * len(study.arms)
    printed = {cell: number.value for cell, number in published("sumix_zeta").items()}
    assert len(printed) == 2 * 4  # a zeta and an alpha of each mixer, without and with SUMix
    choices = {"cutmix": (0.2, 0.5), "fmix": (0.2, 1.0), "saliencymix": (0.2, 0.5), "resizemix": (1.0, 0.2)}
    for mixer, (alpha, zeta) in choices.items():
        row = next(line.split() for line in header.splitlines() if line.lower().strip().startswith(mixer))
        pair = [printed[mixer, str(alpha), arm] for arm in ("baseline", f"zeta {zeta}")]
        assert row[1:] == [str(alpha), f"{pair[0]:.2f}", str(zeta), f"{pair[1]:.2f}"]


def test_each_definition_changes_one_choice_of_the_paper_and_has_no_published_number():
    found = cells("sumix_definitions")
    paper = found["SUMix as in the paper"]
    changed = {arm: {key for key in paper if config[key] != paper[key]} for arm, config in found.items()}
    others = ("baseline", "raw pass", "recalibrated", "SUMix as in the paper")
    choices = {arm: keys for arm, keys in changed.items() if arm not in others}
    assert all(len(keys) == 1 for keys in choices.values())
    assert set().union(*choices.values()) == {
        *("sumix.raw_statistics", "sumix.distance_gradient", "sumix.z", "sumix.lam_gradient", "sumix.preset"),
        *("sumix.lam_of", "sumix.raw_forward", "augment.padding", "mixer.probability", "mixer.label"),
    }
    assert set(published("sumix_definitions")) == {("baseline",), ("SUMix as in the paper",), ("release",)}
