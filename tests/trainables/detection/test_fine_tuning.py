"""The detector starts from the classifier's weights, and its training follows the recipe."""

from dataclasses import replace

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tests.trainables.detection.collages import squares, write_collages
from trainables.config import parse
from trainables.datasets.dataset import DataError
from trainables.detection import fine_tuning
from trainables.detection.annotated import coco
from trainables.detection.detector import faster_rcnn
from trainables.detection.fine_tuning import RECIPES, Photographs, Recipe, _batches, fine_tune, mirrored, rate
from trainables.methods import build_network

SMALL = Recipe(iterations=2, milestones=(1,), lr=0.01, warmup=1, sides=(64,), anchors=(24,), batch_size=2, regions=8)


@pytest.fixture
def collages(tmp_path):
    write_collages(tmp_path, *squares(8), ["red", "blue"], train=4, test=3)
    return coco(tmp_path)


def classifier(backbone="resnet8", init="om_table"):
    return build_network(parse({"dataset": "cifar10", "backbone": backbone, "init": init}), seed=3)


def detector(network, sides=(96,)):
    return faster_rcnn(network, 2, replace(SMALL, sides=sides))


def test_the_parts_are_those_of_the_classifier():
    network = classifier().eval()
    found = detector(network).eval()
    images = torch.rand(2, 3, 96, 96)
    maps = network.backbone.encode(network.normalise(images), 0, len(network.backbone.stages) - 1)
    transformed = found.transform([*images])[0].tensors
    torch.testing.assert_close(found.backbone(transformed), maps)
    regions = torch.rand(3, maps.shape[1], 14, 14)
    expected = network.backbone.stages[-1](regions).mean((2, 3)) / (1 + 1e-5) ** 0.5  # a new norm has a variance of 1
    torch.testing.assert_close(found.roi_heads.box_head(regions), expected)


def test_regions_and_proposals_are_those_of_detectron2():
    found = detector(classifier())
    pool, proposals = found.roi_heads.box_roi_pool, found.rpn
    assert (pool.output_size, pool.sampling_ratio) == ((14, 14), 0)
    assert (proposals._pre_nms_top_n, proposals._post_nms_top_n) == (
        {"training": 12_000, "testing": 6_000},
        {"training": 2_000, "testing": 1_000},
    )
    (anchors,) = proposals.anchor_generator.cell_anchors
    width, height = (anchors[:, 2:] - anchors[:, :2]).unbind(1)
    torch.testing.assert_close(height / width, torch.tensor([0.5, 1.0, 2.0]), rtol=0.1, atol=0)
    torch.testing.assert_close(height * width, torch.full((3,), 24.0**2), rtol=0.1, atol=0)
    assert found.roi_heads.box_predictor.cls_score.out_features == 3  # the background besides two classes


@pytest.mark.slow
def test_every_layer_is_trained_and_the_classifier_is_left_alone(collages):
    network = classifier(init="torch_default")  # no block begins with a weight of 0, behind which steps could be lost
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = detector(network)
    start = {name: value.clone() for name, value in found.state_dict().items()}
    fine_tune(found, collages.train, replace(SMALL, lr=0.3, milestones=()), 0, torch.device("cpu"))
    assert [name for name, value in found.state_dict().items() if torch.equal(value, start[name])] == []
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.slow
def test_norms_do_not_decay_and_test_with_the_mean_statistics_of_the_last_batches(collages):
    """A rate of 1e-30 leaves the weights alone, so that each batch's statistics can be taken again by hand."""
    rates = []
    hook = register_optimizer_step_pre_hook(lambda optimiser, *_: rates.append(optimiser.param_groups[0]["lr"]))
    recipe = replace(SMALL, lr=1e-30, weight_decay=1e30)
    found = detector(classifier())
    means: list[torch.Tensor] = []
    norm = found.roi_heads.box_head[1]
    norm.register_forward_pre_hook(lambda _, maps: means.append(maps[0].detach().mean((0, 2, 3))))
    fine_tune(found, collages.train, recipe, 0, torch.device("cpu"))
    hook.remove()
    assert rates == pytest.approx([1e-33, 1e-31], rel=1e-6, abs=0)  # the warm-up, and a tenth after the milestone
    assert len(means) == 2 * recipe.iterations
    torch.testing.assert_close(norm.running_mean, torch.stack(means[recipe.iterations :]).mean(0))
    assert all(scale.isfinite().all() for scale in (norm.weight, norm.bias))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_detector_and_leaves_the_global_generator_alone(collages, monkeypatch):
    """Both the order, which is the same here, and the regions are drawn by the seed."""
    weights, orders = [], []
    given = fine_tuning._batches
    monkeypatch.setattr(fine_tuning, "_batches", lambda *how: orders.append(given(*how)) or [[0, 1]] * how[1])
    for seed in (0, 0, 1):
        torch.manual_seed(5)
        found = detector(classifier(), sides=(64,))
        state = torch.get_rng_state()
        fine_tune(found, collages.train, SMALL, seed, torch.device("cpu"))
        assert torch.equal(torch.get_rng_state(), state)
        weights.append(found.roi_heads.box_predictor.cls_score.weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert orders[0] == orders[2] != orders[4]


def test_ignored_objects_are_not_learned_and_photographs_without_any_other_are_refused(collages):
    ignored = [image._replace(ignored=[True] * len(image.ignored)) for image in collages.train]
    with pytest.raises(DataError, match="no photograph to train on has an object to learn"):
        fine_tune(detector(classifier()), ignored, SMALL, 0, torch.device("cpu"))
    kept = collages.train[0]
    crowd = {"boxes": [*kept.boxes, (1.0, 1.0, 9.0, 5.0)], "labels": [*kept.labels, 1]}
    both = [Photographs([image])[0][1] for image in (kept, kept._replace(**crowd, ignored=[*kept.ignored, True]))]
    assert torch.equal(both[0]["boxes"], both[1]["boxes"])
    assert torch.equal(both[0]["labels"], both[1]["labels"])


def test_boxes_are_mirrored_with_their_photograph(collages):
    photographs = Photographs(collages.train)
    for number in range(4):
        image, target = photographs[number]
        assert 0 <= image.min() < image.max() == 1  # pictures are pasted in full red or blue
        flipped, moved = mirrored(image, target)
        assert torch.equal(photographs[-1 - number][0], flipped)
        assert torch.equal(photographs[-1 - number][1]["boxes"], moved["boxes"])
        places = (kind["boxes"].int().tolist() for kind in (target, moved))
        for (left, top, right, bottom), (new_left, new_top, new_right, new_bottom) in zip(*places, strict=True):
            mirror = image[:, top:bottom, left:right].flip(2)
            assert torch.equal(flipped[:, new_top:new_bottom, new_left:new_right], mirror)


def test_every_epoch_shows_each_photograph_once_and_half_of_them_mirrored():
    batches, again = (_batches(50, 30, 8, torch.Generator().manual_seed(0)) for _ in range(2))
    assert batches == again
    assert [len(batch) for batch in batches] == [8] * 30
    shown = [index for batch in batches for index in batch]
    for start in range(0, 200, 50):
        assert sorted(max(index, -1 - index) for index in shown[start : start + 50]) == list(range(50))
    assert 90 < sum(index < 0 for index in shown) < 150
    assert shown[:50] != shown[50:100]


def test_the_recipes_are_those_of_moco():
    """What both have is Detectron2's default."""
    both = {"batch_size": 16, "lr": 0.02, "momentum": 0.9, "weight_decay": 1e-4, "longest": 1333, "regions": 512}
    both["anchors"] = (32, 64, 128, 256, 512)
    of_voc = {"iterations": 24_000, "milestones": (18_000, 22_000), "warmup": 100}
    of_voc["sides"] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    of_coco = {"iterations": 180_000, "milestones": (120_000, 160_000), "warmup": 1000}
    of_coco["sides"] = (640, 672, 704, 736, 768, 800)
    assert [RECIPES["voc"], RECIPES["coco"]] == [Recipe(**of_voc, **both), Recipe(**of_coco, **both)]


def test_the_rate_warms_up_and_falls():
    recipe = Recipe(iterations=100, milestones=(60, 80), sides=(96,), warmup=10)
    assert [round(rate(step, recipe), 6) for step in (0, 5, 10, 59, 60, 80)] == [0.001, 0.5005, 1, 1, 0.1, 0.01]


def test_a_network_that_reads_a_token_is_refused():
    with pytest.raises(ValueError, match="needs a network that ends with the mean of its last map, unlike"):
        detector(classifier("vit_tiny_32"))
