"""A run that is resumed from a checkpoint goes on as it began, and ends with the same bits."""

import functools

import pytest
import torch

from tests.trainables.runs import VIT, numbers, short_run, trained, weights
from trainables.optimisation import optimisers

KINDS = {
    "sgd": {},
    "nesterov, steps down": {"nesterov": True, "schedule": "multistep", "milestones": (0.3, 0.6)},
    "lamb": {**VIT, "optimiser": "lamb", "label_smoothing": 0.0, "loss": "binary"},
    "adamw, average, sumix": {**VIT, "ema": 0.8, "sumix.lam": "learned", "sumix.regulariser": "su"},
    "drop_last": {"drop_last": True},
    "recalibrated": {"recalibrate": True},
    "again": {"rerun": 1},
    "automix": {"mixer": "automix", "mixer.mask_decay": "cosine", "mixer.layer": 2},
    "attentivemix": {"mixer": "attentivemix"},
    "drop_path": {"drop_path": 0.5},
}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Return a function that returns a whole run of a kind, and the folder of its checkpoint after the first epoch."""

    @functools.cache
    def whole(kind):
        run, folder = short_run(6, epochs=2, **KINDS[kind]), tmp_path_factory.mktemp("run")
        run.next_epoch()
        run.save(folder)
        return trained(run), folder

    return whole


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_goes_on_ends_with_the_same_bits_and_every_key_changes_them(whole_run, kind):
    (plain, _), (whole, checkpoint) = whole_run("sgd"), whole_run(kind)
    second = short_run(6, epochs=2, **KINDS[kind])
    second.restore(checkpoint)
    assert len(second.history) == 1
    trained(second)
    assert numbers(second) == numbers(whole)
    torch.testing.assert_close(second.method.state_dict(), whole.method.state_dict(), rtol=0, atol=0)
    if kind == "again":
        assert numbers(plain) == numbers(whole)
    elif kind not in ("sgd", "recalibrated"):  # every other key changes the training
        assert numbers(plain)[-1]["train_loss"] != numbers(whole)[-1]["train_loss"]
        assert plain.method.evaluated.backbone.head.weight.ne(whole.method.evaluated.backbone.head.weight).any()


def test_a_run_goes_on_in_float16_that_began_in_another_precision(tmp_path):
    """``precision`` is "auto": a GPU that computes in bfloat16 scales no loss, and an older one does."""
    begun = short_run(6)
    begun.next_epoch()
    begun.save(tmp_path)
    resumed = short_run(6, precision="float16")
    assert resumed.scaler.is_enabled()
    scale = resumed.scaler.get_scale()
    resumed.restore(tmp_path)
    assert resumed.scaler.get_scale() == scale
    assert len(resumed.history) == 1
    assert torch.equal(resumed.method.network.backbone.head.weight, begun.method.network.backbone.head.weight)
    resumed.train_epoch(2)
    resumed.scaler.update(8.0)
    resumed.save(tmp_path)
    again = short_run(6, precision="float16")
    again.restore(tmp_path)
    assert again.scaler.get_scale() == 8.0


@pytest.mark.slow
@pytest.mark.parametrize("decayed", [True, False])
def test_a_run_of_timm_goes_on_as_it_began_also_when_embeddings_decayed(decayed, tmp_path, monkeypatch):
    config = {**VIT, "backbone": "timm/test_vit", "image_size": 64, "mixer": "none", "epochs": 2}
    with monkeypatch.context() as earlier:
        if decayed:
            earlier.setattr(optimisers, "_exempt", lambda method: set())
        first, whole = (short_run(**config) for _ in range(2))
        first.next_epoch()
        first.save(tmp_path)
        trained(whole)
    resumed = short_run(**config)
    resumed.restore(tmp_path)
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(trained(resumed)).items())
