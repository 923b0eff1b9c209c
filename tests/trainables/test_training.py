"""The loop's optimiser, loss and batches, of which the defaults are plain SGD, and what a run reports and keeps."""

import math
import os
import time

import numpy as np
import pytest
import torch
from torchvision.models import mobilenet_v2

from tests.trainables.runs import SHORT, VIT, run_of, short_run, trained, weights
from trainables.classify import train
from trainables.config import parse
from trainables.cost import noise_splits
from trainables.datasets import opening
from trainables.datasets.opening import open_splits
from trainables.device import memory
from trainables.device.hardware import device, environment
from trainables.epoch import Diverged, Epoch, require_finite
from trainables.methods import METHODS, build_method, build_network
from trainables.methods.method import Step
from trainables.methods.mixing import Mixing
from trainables.mixers.cutmix import cutmix
from trainables.mixers.mixed import mixed_targets
from trainables.network_shapes import Undrawn
from trainables.seeds import derive_seed, generator


def test_a_run_is_plain_sgd_with_each_epochs_own_draws_bit_for_bit():
    run = trained(short_run(epochs=2, drop_path=0.5))
    settings = parse({**SHORT, "drop_path": 0.5})
    method = build_method(settings, 0).to(memory_format=torch.channels_last).train()
    sgd = torch.optim.SGD(method.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    for epoch, rate in ((1, 0.05), (2, 0.025)):  # half a cosine, of which an epoch has one value
        torch.manual_seed(derive_seed(0, "network", epoch))
        sgd.param_groups[0]["lr"] = rate
        mixer = generator(0, "mixer", epoch)
        order, augment = generator(0, "data", epoch), generator(0, "augment", epoch)
        total = 0.0
        for batch, labels in run.train_set.train_batches(4, order, augment):
            mixed = cutmix(batch, mixer, alpha=settings.mixer_options["alpha"])
            soft = mixed_targets(mixed, labels, 10)
            loss = torch.nn.functional.cross_entropy(method.network(mixed.images), soft)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            total += loss.item() * len(batch)
        assert run.history[epoch - 1].metrics["train_loss"] == pytest.approx(total / 10)  # the last batch is of 2
    torch.testing.assert_close(method.state_dict(), run.method.state_dict(), rtol=0, atol=0)
    assert derive_seed(7, "data", 3) == 6975685844921256464  # half of the first 64 bits of SHA-256 of 7/data/3


def test_the_epoch_that_is_returned_is_the_last_that_was_reported(monkeypatch, tmp_path):
    """Its times are measured once; a finished run, from its checkpoint, reports nothing more."""

    def noise(config, data_root, on, workers):
        return open_splits(config, noise_splits(config, 10), on)

    def keep(epoch, save):
        reported.append(epoch)
        save(tmp_path)

    monkeypatch.setattr(opening, "open_dataset", noise)
    reported: list[Epoch] = []
    last = train({**SHORT, "epochs": 2}, 0, keep)
    assert last is reported[1]
    again = train({**SHORT, "epochs": 2}, 0, keep, resume_from=tmp_path)
    assert again.metrics["train_seconds_total"] == last.metrics["train_seconds_total"]
    assert len(reported) == 2


def test_how_a_gpu_multiplies_is_set_and_decided_by_no_timing(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    torch.set_float32_matmul_precision("highest")
    short_run()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert torch.get_float32_matmul_precision() == "high"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_predictions_of_the_test_set_are_those_of_its_accuracy(precision, tmp_path):
    run = short_run(precision=precision, epochs=2)
    run.next_epoch()
    run.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["training.pt"]
    assert not run.tested  # logits take memory
    trained(run)
    head = run.method.network.backbone.head
    with torch.no_grad():  # the answers differ by less than two numbers of float16 above 16 do
        head.weight.zero_()
        head.bias.copy_(30 + torch.arange(10.0) * 1e-3)
    accuracy = run.test_metrics(last=True)["test_top1"]
    run.save(tmp_path)
    found = np.load(tmp_path / "predictions.npz")
    assert (found["logits"].dtype, found["labels"].dtype) == (np.float16, np.int64)
    shown = np.tile(head.bias.numpy(force=True), (len(found["labels"]), 1))
    np.testing.assert_allclose(found["logits"], shown, atol=2 / 64)  # above 16 the numbers of float16 are 1/64 apart
    assert 100 * np.mean(found["logits"].argmax(axis=1) == found["labels"]) == accuracy > 0


def test_the_rate_of_every_step_is_that_of_a_cosine_and_a_warm_up(monkeypatch):
    run, rates, progress = short_run(**VIT), [], []
    run.optimiser.register_step_pre_hook(lambda optimiser, *_: rates.append({g["lr"] for g in optimiser.param_groups}))
    monkeypatch.setattr(run.method, "after_step", progress.append)
    trained(run)  # 3 batches an epoch, the last of 2 images
    full = [1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi * t / 9)) / 2 for t in range(9)]
    warm = [0.1, 0.4, 0.7, 1, 1, 1, 1, 1, 1]
    assert [rate for (rate,) in rates] == pytest.approx([f * w for f, w in zip(full, warm, strict=True)])
    assert progress == pytest.approx([(t + 1) / 9 for t in range(9)])


class Logging(Mixing):
    """Logs the number of a batch's images, without a tensor; of a smaller batch only by choice."""

    small, called = True, "rows"

    def forward(self, images, labels, rng):
        loss, log = super().forward(images, labels, rng)
        return Step(loss, {**log, self.called: len(images)} if self.small or len(images) == 4 else log)


def test_a_method_logs_the_mean_of_a_number_the_same_ones_for_every_batch_and_none_as_the_loss(monkeypatch):
    """The sum over some of the batches was divided by the images of all, and a log took the place of the loss."""
    monkeypatch.setitem(METHODS.data, "cutmix", Logging)
    assert trained(short_run(epochs=1)).history[0].metrics["rows"] == 3.6  # batches of 4, 4 and 2
    monkeypatch.setattr(Logging, "small", False)
    with pytest.raises(
        ValueError, match=r"same names for every batch, got \['rows', 'train_loss'\] and \['train_loss'\]"
    ):
        trained(short_run(epochs=1))
    monkeypatch.setattr(Logging, "called", "train_loss")
    with pytest.raises(ValueError, match=r"^a method must not log 'train_loss', which is the name of its loss$"):
        trained(short_run(epochs=1))


def test_a_training_that_diverges_ends_with_the_epoch():
    run = short_run(lr=1e30)
    with pytest.raises(Diverged, match=r"^the training loss became (nan|inf) in epoch 1$"):
        run.next_epoch()
    assert run.history == []
    with pytest.raises(Diverged, match=r"^the training loss became inf in epoch 3$"):
        require_finite(math.inf, 3)


def test_a_last_batch_of_one_image_that_cannot_be_normalised_is_refused():
    with pytest.raises(ValueError, match=r"^the last batch of 9 training images has 1 image"):
        short_run(9, backbone="resnet18", image_size=8)


@pytest.mark.parametrize(("drop_last", "wanted"), [(True, [4, 3]), (False, [4, 3, 2])])
def test_a_batch_that_lacks_a_bad_image_is_not_the_last(drop_last, wanted):
    """One of ten images cannot be decoded, and falls into the second batch; recalibration sees the same batches."""
    run = short_run(drop_last=drop_last, recalibrate=True)
    whole = run.train_set.train_batches
    seeds, sizes, losses = [], [], []

    def skipping(size, order, augment):
        seeds.append((order.initial_seed(), augment.initial_seed()))
        for number, (images, labels) in enumerate(whole(size, order, augment)):
            yield (images[1:], labels[1:]) if number == 1 else (images, labels)

    run.train_set.train_batches = skipping

    def see(_, given, step):
        sizes.append(len(given[0]))
        losses.append(step.loss.item())

    run.method.register_forward_hook(see)
    log, _ = run.train_epoch(1)
    assert sizes == wanted  # the last batch would be of 2 images
    assert log["train_loss"] == pytest.approx(np.average(losses, weights=sizes))
    assert [len(images) for images in run.unmixed_batches()] == wanted
    purposes = ("data", "augment"), ("recalibration data", "recalibration augment")
    assert seeds == [tuple(derive_seed(0, purpose, 1) for purpose in pair) for pair in purposes]


@pytest.mark.parametrize(("count", "whole", "every"), [(8, 2, 2), (9, 2, 3), (11, 2, 3)])
def test_an_epoch_has_a_step_for_every_batch(count, whole, every):
    assert [short_run(count, drop_last=drop_last).steps for drop_last in (True, False)] == [whole, every]


@pytest.mark.parametrize(("peak", "own"), [(150.0, 50.0), (90.0, 0.0)])
def test_the_memory_of_a_run_is_what_it_added_to_its_process_and_its_workers(peak, own, monkeypatch):
    run = short_run(4, epochs=1)
    run.held_mib, run.train_set.workers_mib, run.test_set.workers_mib = 100.0, 9.0, 7.0
    monkeypatch.setattr(memory, "peak_mib", lambda device: peak)
    assert trained(run).epoch().metrics["peak_memory_mib"] == own + 9.0


def test_a_run_that_may_not_see_the_test_set_keeps_no_predictions(tmp_path):
    run = trained(short_run(12, epochs=1, mixer="automix", **{**train.held_out, "validation": 4}))
    run.save(tmp_path)
    saved = {"training.pt", "model.pt", "model_mix_block.pt", "model_mixtures.pt"}
    assert {file.name for file in tmp_path.iterdir()} == saved
    found = {key: value for key, value in run.epoch().metrics.items() if key.startswith(("test_", "val_"))}
    held_out = run.evaluate(run.validation_set)
    assert found == {"val_top1": held_out["top1"], "val_loss": held_out["loss"]}
    assert train.objectives({**SHORT, "validation": 4}) == ["train_loss", *found]
    assert train.objectives(SHORT) == ["train_loss"]
    model = torch.load(tmp_path / "model.pt", weights_only=True)
    torch.testing.assert_close(model, run.method.teacher.backbone.state_dict(), rtol=0, atol=0)
    assert all(value.is_contiguous() for value in model.values())
    assert run.epoch().metrics["params"] == sum(p.numel() for p in run.method.teacher.backbone.parameters())


def test_the_last_epoch_says_what_the_whole_run_took():
    start, upwards = time.perf_counter(), {metric.name: metric.higher_is_better for metric in train.metrics}
    run = short_run(epochs=2)
    run.next_epoch()
    assert run.epoch() == run.history[0]
    trained(run)
    elapsed = time.perf_counter() - start
    for metrics in (epoch.metrics for epoch in run.history):
        assert 0 < metrics["evaluation_seconds"] < metrics["train_seconds"] + metrics["evaluation_seconds"] < elapsed
        for best in ("top1", "top5"):
            assert metrics[f"test_{best}_error"] == 100 - metrics[f"test_{best}"]
            assert (upwards[f"test_{best}"], upwards[f"test_{best}_error"]) == (True, False)
    last, seconds = run.epoch(), sum(epoch.metrics["train_seconds"] for epoch in run.history)
    assert (last.number, last.of) == (2, 2)
    images = open_splits(run.settings, noise_splits(run.settings, 10), device())
    assert last.words == {"data": images.fingerprint, **environment(run.device)}
    assert last.metrics.keys() < upwards.keys()
    added = {name: value for name, value in last.metrics.items() if name not in run.history[-1].metrics}
    assert added.pop("peak_memory_mib") >= 0
    params = sum(p.numel() for p in run.method.network.backbone.parameters())
    whole = {"train_seconds_total": seconds, "step_seconds": seconds / 6, "params": params}  # 3 batches an epoch
    assert added == pytest.approx(whole)


@pytest.mark.slow
def test_the_network_fits_the_images_and_starts_from_given_weights():
    settings = parse({**SHORT, "backbone": "deit_small", "image_size": 48, "drop_path": 0.3})
    with torch.device("meta"), Undrawn():
        network = build_network(settings)
        assert network.backbone(torch.rand(1, 3, 48, 48)).shape == (1, 10)
    assert network.backbone.stages[-1].drop_path.p == pytest.approx(0.3)
    settings = parse({**SHORT, "backbone": "mobilenet_v2", "init": "om_table"})
    with Undrawn():
        donor = {key: torch.full_like(value, 0.5) for key, value in mobilenet_v2().state_dict().items()}
    network = build_network(settings, weights=donor)
    assert all(p.eq(0.5).all() for p in network.backbone.stages.parameters())
    assert network.backbone.head.weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_deterministic_runs_have_the_same_numbers_and_leave_no_trace(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # the fixture restores it at the end
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    one = run_of(8, mixer="cutmix", deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    one.train_epoch(1)
    two = run_of(8, mixer="cutmix")
    assert not torch.are_deterministic_algorithms_enabled()
    two.train_epoch(1)
    torch.testing.assert_close(weights(one), weights(two), rtol=0, atol=0)
