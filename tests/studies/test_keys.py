"""The runs of the shipped studies are found again after an upgrade: the keys of these cells stay."""

from inspect import get_annotations as annotations

import pytest

from mixlab.spec.complete import complete
from tests.studies.cells import trials
from trainables.classify import train
from trainables.config import DEFAULTS
from trainables.mixers import MIXERS

# the key of seed 0, by study, preset and cell
KEYS = {
    ("ablation_cifar100", "paper", "cutmix · baseline"): "7d185fc25b22182e",
    ("ablation_cifar100", "quick", "cutmix · raw pass"): "a3208dea8fa3a7c7",
    ("ablation_cifar100", "paper", "cutmix · + l_su"): "59ba8e2dccaf5b9b",
    ("ablation_cub", "paper", "saliencymix · + l_u"): "630e9b305a1d95f5",
    ("table1_cifar100", "paper", "resnext50 · fmix · SUMix"): "2b041737d5994e27",
    ("table2_aircraft", "paper", "resnext50_imagenet · cutmix · SUMix"): "6988f1fce053c080",
    ("table3_vits", "paper", "swin_tiny · cutmix · SUMix"): "783df71d37e6d9f2",
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
