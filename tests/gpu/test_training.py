"""Training on a GPU: a CUDA graph changes no number, nothing waits, and numbers and memory are those known before."""

import gc
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from mixlab.cluster import packing
from tests import noise_images
from tests.gpu.runs import SETTINGS, differing, finish, run_on_gpu
from trainables import cost
from trainables.config import parse
from trainables.datasets.dataset import Split
from trainables.datasets.opening import open_dataset
from trainables.datasets.resident import Resident
from trainables.device import memory
from trainables.device.cuda_graph import STEPS_TO_GRAPH
from trainables.device.hardware import device
from trainables.mixers import MIXERS
from trainables.training import Run

if not torch.cuda.is_available():
    pytest.skip("needs a GPU, and make test-gpu", allow_module_level=True)

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
    *({**keys, **SUMIX} for keys in PLAIN if keys["mixer"] != "augmix"),  # it mixes an image with itself
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
        {"mixer": "automix"},  # it tests several networks
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


WATCHED: list[dict[str, Any]] = [
    *PLAIN,
    *WITH_SUMIX,
    *OPTIONS,
    {"mixer": "manifoldmix"},
    {"mixer": "alignmix"},
    {"mixer": "puzzlemix"},
    {"mixer": "saliencymix", "mixer.saliency_input": "raw_float"},
    {"mixer": "cutmix", "augment": "rrc_flip", "augment.jitter": 0.4, "augment.hue": 0.1, "augment.lighting": 0.1},
    {"mixer": "cutmix", "mixer.probability": 0.5},
]


@pytest.mark.parametrize("keys", WATCHED, ids=words)
def test_no_step_waits_for_the_gpu(keys):
    waits = []
    for steps in (5, 10):
        run = run_on_gpu(count=16 * steps, **keys)
        run.train_epoch(1)
        waits.append(waits_of(run))
    assert len(waits[1]) == len(waits[0]), "\n".join(set(waits[1]))


def waits_of(run: Any) -> list[str]:
    """Return where the host waits for the GPU in an epoch."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run.train_epoch(2)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [f"{each.filename}:{each.lineno}" for each in seen if "called a synchronizing" in str(each.message)]


@pytest.mark.parametrize("keys", [{"mixer": mixer} for mixer in ("cutmix", "fmix", "puzzlemix", "automix")], ids=words)
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_two_runs_of_a_seed_are_the_same(keys, precision):
    one, other = (run_on_gpu(**keys, **SUMIX, precision=precision) for _ in range(2))
    finish(one, other)
    assert differing(one, other) == []


PROGRAM = """
import hashlib, sys
from tests.gpu.runs import run_on_gpu, state_of
keys = {"backbone": sys.argv[1], "cuda_graph": sys.argv[2] == "graph"}
run = run_on_gpu(mixer="cutmix", batch_size=100, count=1000, **keys)
for _ in range(3):
    run.next_epoch()
digest = hashlib.sha256()
for value in state_of(run).values():
    digest.update(value.cpu().numpy().tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("backbone", ["resnet18", "resnet20", "wrn28_8", "resnext50"])
def test_two_processes_give_the_same_bits_with_a_graph_or_without(backbone):
    commands = [[sys.executable, "-c", PROGRAM, backbone, how] for how in ("plain", "plain", "graph")]
    root = Path(__file__).parents[2]
    found = {subprocess.run(each, cwd=root, capture_output=True, text=True, check=True).stdout for each in commands}
    assert len(found) == 1


def test_a_batch_and_its_logits_agree_with_the_cpu():
    run = run_on_gpu(mixer="none", precision="float32")
    there = run.train_set
    here = Resident(Split(there.images.permute(0, 3, 1, 2).cpu(), there.labels.cpu()), "cpu", augment=None)
    (of_gpu, _), (of_cpu, _) = (next(iter(source.test_batches(90))) for source in (there, here))
    torch.testing.assert_close(of_gpu.cpu(), of_cpu, rtol=0, atol=6e-8)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    network = run.method.network.eval()
    logits = network(of_gpu).detach().cpu()
    torch.testing.assert_close(logits, network.cpu()(of_cpu).detach(), rtol=1e-4, atol=1e-5)


def test_the_network_is_channels_last_and_half():
    run = run_on_gpu(mixer="cutmix", backbone="resnet18")
    kernels = [weight for weight in run.method.parameters() if weight.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)
    assert run.precision == torch.bfloat16


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("backbone", ["resnet8", "resnet18"])
def test_a_run_takes_as_much_memory_as_was_measured(backbone, graph, monkeypatch):
    keys = {"mixer": "cutmix", "backbone": backbone, "batch_size": 100, "count": 500, "cuda_graph": graph, **SUMIX}
    keys["epochs"] = STEPS_TO_GRAPH  # each of them tests a batch
    settings = run_on_gpu(**keys).settings
    monkeypatch.setattr(cost, "images_of", lambda *_: cost.noise_splits(settings, 500))
    needed, free = cost.gpu_memory(settings, Path())
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run = run_on_gpu(**keys)
    finish(run)
    taken = torch.cuda.max_memory_reserved() / memory.MIB
    assert taken - 20 < needed - cost.CONTEXT_MIB < 1.2 * taken + 50
    assert needed < free


def test_a_full_gpu_is_recognised():
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        with pytest.raises(RuntimeError) as full:
            torch.empty(2**36, dtype=torch.uint8, device="cuda")
        assert memory.ran_out(full.value)
        assert packing.ran_out(f"{type(full.value).__module__}.{type(full.value).__name__}: {full.value}")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
