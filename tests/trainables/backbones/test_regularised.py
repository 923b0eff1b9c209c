"""Stochastic depth drops whole branches of a row, DropBlock whole squares; maps are 16x12."""

import copy

import pytest
import torch

from tests.trainables.backbones.networks import SMALL_IMAGES, drawn, on_meta
from trainables.backbones.names import RESIDUAL
from trainables.backbones.regularised import BRANCH_END, add_drop_block, add_drop_path, drop_block, residual_blocks
from trainables.backbones.resnet import resnet8


def test_the_residual_networks_are_those_with_blocks_and_no_drop_path_of_their_own():
    for name in RESIDUAL:
        blocks = residual_blocks(on_meta(name))
        assert all(hasattr(block, BRANCH_END[type(block)]) for block in blocks)
        assert len(blocks) >= 3, name
    assert set(SMALL_IMAGES) - set(RESIDUAL) == {"convnext_tiny_cifar", "vit_tiny_32"}


LARGE = ("preact_resnet18", "pyramidnet110")


@pytest.mark.parametrize(
    "name", ["resnet8", "wrn16_8", "resnext29", *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]
)
@torch.no_grad()
def test_testing_and_the_weights_names_stay_as_they_are(name):
    plain, images = drawn(name, num_classes=4), torch.rand(2, 3, 16, 12)
    names, trained = list(plain.state_dict()), plain.train()(images)
    tested = plain.eval()(images)
    for add, options in ((add_drop_path, (0.5,)), (add_drop_block, (0.3, 3))):
        add(plain, *options)
        changed = copy.deepcopy(plain)  # a method copies the network, and the copy drops too
        assert list(changed.state_dict()) == names
        assert torch.equal(changed.eval()(images), tested)
        assert not torch.equal(changed.train()(images), trained)
        for block in plain.modules():
            block._forward_hooks.clear()


def test_a_dropped_branch_leaves_the_shortcut_and_a_kept_one_is_scaled_up():
    """The last block of four images: what remains of its branch is 0 or twice as much at a rate of one half."""
    backbone = drawn("wrn16_8")
    last = residual_blocks(backbone)[-1]
    maps = torch.rand(40, 64, 4, 3)
    with torch.no_grad():
        branch = last(maps) - maps
        add_drop_path(backbone, 0.5)
        last.conv2.train()
        dropped = last(maps) - maps
    kept = [torch.allclose(row, 2 * whole, atol=1e-4) for row, whole in zip(dropped, branch, strict=True)]
    gone = [torch.allclose(row, torch.zeros(()), atol=1e-6) for row in dropped]
    assert [not one for one in gone] == kept
    assert 8 < sum(kept) < 32  # heads among 40 tosses of a coin


def test_the_rates_of_paths_grow_from_zero_and_drop_block_acts_in_the_last_two_stages_alone():
    backbone = resnet8(num_classes=4)
    add_drop_path(backbone, 0.6)
    hooks = [next(iter(block.bn2._forward_hooks.values())) for block in residual_blocks(backbone)]
    assert [hook.args[0] for hook in hooks] == pytest.approx([0.0, 0.3, 0.6])

    for name, hooked in (("resnet8", [0, 1, 1]), ("resnet18", [0, 0, 0, 0, 1, 1, 1, 1])):
        backbone = copy.deepcopy(on_meta(name))
        add_drop_block(backbone, 0.2, 3)
        assert [len(block._forward_hooks) for block in residual_blocks(backbone)] == hooked


def test_drop_block_drops_whole_squares_and_keeps_the_mean():
    torch.manual_seed(1)
    dropped = drop_block(torch.ones(64, 8, 16, 12), 0.1, 3)
    assert dropped.mean() == pytest.approx(1.0, abs=1e-5)
    gone = dropped == 0
    assert 0.07 < gone.float().mean() < 0.1  # less than a tenth, by the overlap
    squares = torch.nn.functional.avg_pool2d(gone.float(), 3, stride=1) > 0.99
    covered = torch.nn.functional.max_pool2d(torch.nn.functional.pad(squares.float(), [2] * 4), 3, stride=1) > 0
    assert torch.equal(covered, gone)  # every blank pixel lies in a blank square
    assert not torch.equal(gone[:, 0], gone[:, 1])
    half = drop_block(torch.ones(64, 8, 16, 12, dtype=torch.float16), 0.1, 3)  # 98,304 pixels, beyond 65,504
    assert half.dtype == torch.float16
    assert half.float().mean() == pytest.approx(1.0, abs=1e-3)


def test_a_map_smaller_than_the_square_is_dropped_whole():
    torch.manual_seed(2)
    maps = drop_block(torch.ones(50, 4, 2, 2), 0.5, 7)
    assert {float(value) for value in maps.flatten(2).sum(2).unique() > 0} == {0.0, 1.0}
    assert torch.equal(maps.amax((2, 3)), maps.amin((2, 3)))
    assert torch.equal(drop_block(torch.ones(1, 1, 2, 2), 1.0, 7), torch.zeros(1, 1, 2, 2))  # where nothing is left
