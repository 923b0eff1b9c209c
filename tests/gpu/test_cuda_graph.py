"""A step as a CUDA graph has the numbers of one without, bit for bit."""

from typing import Any

import pytest
import torch

from tests import noise_images
from tests.gpu.runs import SETTINGS, differing, finish, run_on_gpu
from trainables.config import parse
from trainables.datasets.opening import open_dataset
from trainables.hardware import device
from trainables.mixers import MIXERS
from trainables.training import Run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and make test-gpu")

CHOOSING = ("manifoldmix", "alignmix", "puzzlemix")  # refused: they choose a layer or a grid for each batch
ATTENTIVE = ("transmix", "mergemix")  # for transformers
SUMIX = {"sumix.lam": "learned", "sumix.regulariser": "su"}

# Two runs of these differ, with a graph or without, unless they take deterministic operations only.
RESTLESS = ("samix", "adautomix", "supermix")

PLAIN: list[dict[str, Any]] = [
    {
        "mixer": mixer,
        **({"backbone": "vit_tiny_32"} if mixer in ATTENTIVE else {}),
        **({"deterministic": True} if mixer in RESTLESS else {}),
    }
    for mixer in MIXERS
    if mixer not in CHOOSING
]
OF_TWO = ("mixup", "cutmix", "fmix", "saliencymix", "resizemix", "automix")  # as the released SUMix has them
WITH_SUMIX: list[dict[str, Any]] = [
    *({**keys, **SUMIX} for keys in PLAIN if keys["mixer"] != "augmix"),  # which mixes an image with itself
    *({"mixer": mixer, **SUMIX, "sumix.preset": "release"} for mixer in OF_TWO),
]
OPTIONS: list[dict[str, Any]] = [
    {"mixer": "mixup", **SUMIX, "sumix.raw_forward": "eval_nograd"},
    {"mixer": "mixup", **SUMIX, "sumix.raw_statistics": "leave"},
    {"mixer": "cutmix", "precision": "float32"},
    {"mixer": "cutmix", "precision": "float16"},
    {"mixer": "cutmix", "precision": "float16", "grad_clip": 1.0},
    {"mixer": "cutmix", "grad_clip": 1.0, "nesterov": True},
    {"mixer": "cutmix", "optimiser": "adamw", "lr": 1e-3},
    {"mixer": "cutmix", "ema": 0.9},
    {"mixer": "cutmix", "accumulate": 2, "mixer.groups": 2},
    {"mixer": "cutmix", "clean_loss": 1.0, "label_smoothing": 0.1},
    {"mixer": "cutmix", "mixer.pipeline": "mp_ce"},
    {"mixer": "cutmix", "deterministic": True},
    {"mixer": "cutmix", "lr_changes": "each_step", "warmup_epochs": 1},
    {"mixer": "cutmix", "augment": "rrc_flip", "augment.randaugment": "increasing", "augment.erasing": 0.25},
    {"mixer": "cutmix", "drop_last": True},
    {"mixer": "mixup", "loss": "binary"},
    {"mixer": "mixup", "drop_path": 0.2, "drop_block": 0.1, "drop_block_size": 3},
    {"mixer": "none", "backbone": "wrn28_8"},
    {"mixer": "none", "backbone": "vit_tiny_32", "drop_path": 0.1, "optimiser": "adamw", "lr": 1e-3},
    {"mixer": "automix", "automix.preset": "paper", "mixer.pipeline": "none"},
    {"mixer": "saliencymix", "mixer.per_batch": True},
]


def words(keys: dict[str, Any]) -> str:
    return "-".join(str(value) for value in keys.values())


@pytest.mark.parametrize("keys", [*PLAIN, *WITH_SUMIX, *OPTIONS], ids=words)
def test_a_graph_has_the_same_numbers(keys):
    plain, graphed = (run_on_gpu(**keys, cuda_graph=each) for each in (False, True))
    finish(plain, graphed)
    assert graphed.graphed.graph is not None
    assert differing(plain, graphed) == []


@pytest.mark.parametrize(
    "keys",
    [
        {"mixer": "cutmix"},
        {"mixer": "cutmix", "precision": "float32", "ema": 0.9},
        {"mixer": "cutmix", "precision": "float16"},
        {"mixer": "automix"},  # which tests several networks
    ],
    ids=words,
)
def test_a_test_as_a_graph_has_the_same_numbers(keys):
    plain, graphed = (run_on_gpu(2600, **keys, batch_size=100, cuda_graph=each) for each in (False, True))
    finish(plain, graphed)
    tests = [graphed.evaluate, *graphed.evaluate_also.values()]
    assert all(each.graphed is not None and each.graphed.graph is not None for each in tests)
    assert differing(plain, graphed) == []
    for (logits, _), (others, _) in zip(plain.tested, graphed.tested, strict=True):
        assert torch.equal(logits, others)


def test_a_run_that_goes_on_has_the_same_numbers(tmp_path):
    keys = {"mixer": "cutmix", **SUMIX, "cuda_graph": True, "optimiser": "adamw", "lr": 1e-3}
    whole, first, second = (run_on_gpu(**keys) for _ in range(3))
    first.next_epoch()
    first.save(tmp_path)
    second.restore(tmp_path)
    finish(whole, second)
    assert differing(whole, second) == []
    assert whole.epoch().metrics["graph_speedup"] > 0


def test_streamed_images_are_taken_too(tmp_path):
    noise_images.draw_images(tmp_path)
    runs = []
    for graph in (False, True):
        settings = parse({**SETTINGS, **noise_images.CONFIG, "batch_size": 8, "mixer": "cutmix", "cuda_graph": graph})
        runs.append(Run(settings, 0, open_dataset(settings, tmp_path, device(), workers=2)))
    finish(*runs)
    assert differing(*runs) == []


def test_a_compiled_step_as_a_graph_learns_the_same():
    plain, graphed = (run_on_gpu(mixer="cutmix", cuda_graph=each, compile=each, epochs=2) for each in (False, True))
    finish(plain, graphed)
    losses = [run.history[-1].metrics["train_loss"] for run in (plain, graphed)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_what_chooses_for_each_batch_is_refused_by_the_graph():
    run = run_on_gpu(mixer="manifoldmix", cuda_graph=True)
    with pytest.raises(ValueError, match="chooses something anew for each batch"):
        run.next_epoch()
