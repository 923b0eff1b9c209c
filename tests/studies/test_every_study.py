"""Every study is here, can be started and is small in its short presets; each network and mixer takes a step."""

import pytest

from tests.studies.cells import FOLDER, cells, load, published
from tests.studies.steps import require_dry_run, take_steps
from tests.studies.test_automix import AUTOMIX
from tests.studies.test_kimage import KIMAGE
from tests.studies.test_sumix import SUMIX
from tests.studies.test_tables import TABLES

STUDIES = (*TABLES, *SUMIX, *KIMAGE, *AUTOMIX)
OTHERS = ("kimage_nas", "kimage_style", "kimage_subsampling", "kimage_table6", "mixers_cifar100", "search_zeta_alpha")
SHORT = [name for name in (*TABLES, "sumix_cam", *KIMAGE, *AUTOMIX) if name != "ablation_cifar100"]  # on CIFAR-10
# In their short presets.
TRANSFORMERS = ("automix_deit_imagenet", "automix_vits_cifar100", "automix_table9_layer", "table3_vits")


def test_every_study_is_here():
    assert {*STUDIES, *OTHERS} == {file.stem for file in FOLDER.glob("*.py")}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("preset", ["quick", "smoke"])
def test_a_short_preset_is_small_whatever_the_table(name, preset):
    study, _ = load(name)
    found = cells(name, "--preset", preset)
    assert len(found) == len(study.arms) * (len(study.levels("mixer")) if "mixer" in study.factors else 1)
    for config in found.values():
        network = "vit_tiny_32" if name in TRANSFORMERS else "resnet8"
        assert (config["backbone"], config["dataset"], config["pretrained"]) == (network, "cifar10", "none")
        assert config["epochs"] <= (8 if name == "automix_figure6_collapse" else 4)
        assert config["augment.lighting"] == 0.0
        if config["mixer"] == "automix" and config["mixer.pipeline"] in (None, "mp", "mp_ce"):
            assert config["mixer.last_momentum"] == 0.98  # the slow copy leaves its start
    assert not published(name, "--preset", preset)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_dry_run(name, tmp_path, tracking_uri, capsys):
    require_dry_run(name, tmp_path, tracking_uri, capsys)


@pytest.mark.slow
def test_one_step_with_every_network_and_mixer(monkeypatch):
    assert take_steps(STUDIES, monkeypatch) == 30
