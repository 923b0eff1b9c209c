"""Every study is here, can be started, is small in its presets and keeps its keys; each network and mixer is tried."""

from inspect import get_annotations as annotations

import pytest

from mixlab.spec.complete import complete
from tests.studies.cells import FOLDER, cells, load, published, trials, write_styles
from tests.studies.steps import require_dry_run, take_steps
from tests.studies.test_automix import AUTOMIX
from tests.studies.test_kimage import KIMAGE
from tests.studies.test_tables import SUMIX_STUDIES, TABLES
from trainables.classify import train
from trainables.config import DEFAULTS
from trainables.mixers import MIXERS

STUDIES = (*TABLES, *SUMIX_STUDIES, *KIMAGE, *AUTOMIX)
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
@pytest.mark.parametrize("name", [*STUDIES, "kimage_style", "kimage_subsampling"])
def test_every_study_has_a_dry_run(name, tmp_path, tracking_uri, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_styles(tmp_path)
    scores = tmp_path / "results" / "uncertainty" / "scores.csv"
    scores.parent.mkdir(parents=True)
    scores.touch()
    require_dry_run(name, tmp_path, tracking_uri, capsys)


@pytest.mark.slow
def test_one_step_with_every_network_and_mixer(monkeypatch):
    assert take_steps(STUDIES, monkeypatch) == 31


# the key of seed 0, by study, preset and cell
KEYS = {
    ("ablation_cifar100", "paper", "cutmix · baseline"): "7d185fc25b22182e",
    ("ablation_cifar100", "quick", "cutmix · raw pass"): "a3208dea8fa3a7c7",
    ("ablation_cifar100", "paper", "cutmix · + l_su"): "59ba8e2dccaf5b9b",
    ("ablation_cub", "paper", "saliencymix · + l_u"): "630e9b305a1d95f5",
    ("table1_cifar100", "paper", "resnext50 · fmix · SUMix"): "2b041737d5994e27",
    ("table2_aircraft", "paper", "resnext50_imagenet · cutmix · SUMix"): "6988f1fce053c080",
    ("table3_vits", "paper", "swin_tiny · cutmix · SUMix"): "d0dff4a23cc87b00",
    ("table4_saliency_mixers", "paper", "resnext50 · automix · SUMix"): "edc84e6bd9fcbb92",
}


@pytest.mark.parametrize(("study", "preset", "cell"), KEYS)
def test_no_upgrade_trains_a_finished_run_again(study, preset, cell):
    (found,) = [trial for trial in trials(study, "--preset", preset) if trial.cell == cell and trial.seed == 0]
    assert found.key == KEYS[study, preset, cell], (
        "every finished run of this cell would be trained again: give the new option its neutral value in "
        "trainables/config.py, or, if its numbers moved, say so in CHANGELOG.md and write the new key here"
    )


def test_every_file_that_a_configuration_may_name_counts_by_its_content(tmp_path):
    """Those are the options that are any text at all: the others have names to choose from."""
    options = {f"mixer.{name}": kind for mixer in MIXERS.values() for name, kind in annotations(mixer).items()}
    options |= {f"subset.{name}": kind for name, kind in annotations(type(DEFAULTS.subset)).items()}
    assert {name for name, kind in options.items() if kind == str | None} == set(train.files)
    first, second, other = (tmp_path / name for name in "abc")
    for file, content in ((first, b"one"), (second, b"one"), (other, b"two")):
        file.write_bytes(content)
    hashed = complete(train).hashed
    for name in train.files:
        assert hashed({name: str(first)}) == hashed({name: str(second)})
        assert hashed({name: str(first)}) != hashed({name: str(other)})
