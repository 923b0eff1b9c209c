"""The code in the README does what the README says."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from mixlab import main
from trainables import classify
from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.methods import build_method
from trainables.mixers import MIXERS

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run_block(containing: str) -> dict[str, Any]:
    """The names that the block defines; as a module it is not the main one."""
    (block,) = [block for block in BLOCKS if containing in block]
    names: dict[str, Any] = {"__name__": "readme"}
    exec(block, names)
    return names


def test_the_mixer_of_ten_lines_is_a_mixer(monkeypatch: pytest.MonkeyPatch) -> None:
    halfmix = run_block("def halfmix")["halfmix"]
    images = torch.rand(6, 3, 16, 12)
    mixed = halfmix(images, torch.Generator().manual_seed(0))
    partner = mixed.sources[:, 1]
    assert torch.equal(mixed.images[..., :6], images[..., :6])
    assert torch.equal(mixed.images[..., 6:], images[partner][..., 6:])
    assert mixed.weights.tolist() == [[0.5, 0.5]] * 6

    monkeypatch.setitem(MIXERS, "halfmix", halfmix)
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "mixer": "halfmix", "sumix.lam": "learned"})
    method = build_method(config, DATASETS["cifar10"], seed=0)
    loss, _ = method(images, torch.arange(6), torch.Generator().manual_seed(0))
    assert loss.isfinite()
    with pytest.raises(ValueError, match=r"'mixer\.aplha'; did you mean 'mixer\.alpha'"):
        parse({"mixer": "halfmix", "mixer.aplha": 0.5})


def test_the_study_is_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    study = run_block('name="weight_decay"')["study"]
    trials = study.trials(classify.train.resolve)
    assert len(trials) == 2 * 2 * 5
    assert {trial.config["weight_decay"] for trial in trials} == {1e-4, 5e-4}
    with pytest.raises(SystemExit) as stopped:
        main(study, classify.train, ["--list"])
    assert stopped.value.code == 0
    assert "arm 5e-4: weight_decay=0.0005" in capsys.readouterr().out


def test_every_study_is_in_the_readme_and_every_path_exists() -> None:
    root = Path(__file__).parents[1]
    for study in root.glob("studies/*.py"):
        family = study.name.split("_")[0] + "_*.py"
        assert study.name in README or family in README, study.name
    for path in re.findall(r"\]\((docs/[^)]+)\)", README) + re.findall(r"(?:studies|analysis)/\w+\.py", README):
        assert (root / path).exists(), path
