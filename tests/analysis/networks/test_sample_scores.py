"""The scores of images, by plain loops and by hand; images are 16x12."""

import math

import pytest
import torch
from torch import Generator, Tensor, nn

from analysis.networks.sample_scores import dropout_uncertainty, k_centre_order, mixture_losses, remix, score
from trainables.backbones.backbone import Backbone, Network

B, M, L = 7, 5, 4


class Pixels(nn.Module):
    """A stage that turns an image into a map of 24 of its pixels, and counts how often it is asked."""

    asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += 1
        return images.flatten(1)[:, ::24][..., None, None]


def tiny_network() -> Network:
    torch.manual_seed(0)
    backbone = Backbone([Pixels()], num_features=3 * 16 * 12 // 24, num_classes=L)
    return Network(backbone, [0.0] * 3, [1.0] * 3).double().eval().requires_grad_(False)


def some_images(count: int = B) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(1)
    return torch.rand(count, 3, 16, 12, generator=generator, dtype=torch.double), torch.arange(count) % L


@pytest.mark.parametrize("mixture", ["dcutmix", "dmixup"])
def test_the_losses_are_those_of_a_plain_loop(mixture):
    network, (images, labels) = tiny_network(), some_images()
    found = mixture_losses(network, images, labels, Generator().manual_seed(3), mixings=M, mixture=mixture)
    rng = Generator().manual_seed(3)
    for m in range(M):
        mixed = remix(images, rng, mixture)
        for b in range(B):
            log_p = network(mixed.images[b : b + 1])[0].log_softmax(dim=0)
            loss = sum(
                -float(mixed.weights[b, k]) * float(log_p[labels[mixed.sources[b, k]]])
                for k in range(mixed.sources.shape[1])
            )
            assert float(found[b, m]) == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("mixture", ["dcutmix", "dmixup"])
def test_an_image_keeps_its_share_and_the_rest_is_a_conditional_dirichlet(mixture):
    images, _ = some_images(4000)
    mixed = remix(images, Generator().manual_seed(0), mixture)
    patch = round(16 * math.sqrt(2 / 3)) * round(12 * math.sqrt(2 / 3)) / (16 * 12)
    own = 1 - patch if mixture == "dcutmix" else 1 / 3
    torch.testing.assert_close(mixed.weights[:, 0], torch.full((4000,), own))
    torch.testing.assert_close(mixed.weights.sum(dim=1), torch.ones(4000))
    second = mixed.weights[:, 1]
    # Dir(2/9, 2/9) times two thirds has mean 1/3 and variance 1/9 / (1 + 4/9); pixels of a patch are whole.
    assert second.mean() == pytest.approx(1 / 3, abs=0.03)
    assert second.var() == pytest.approx(1 / 9 / (1 + 4 / 9), rel=0.1 if mixture == "dcutmix" else 0.02)
    assert torch.equal(mixed.sources[:, 0], torch.arange(4000))


def test_the_scores_are_mean_spread_and_their_ratio_in_the_order_of_the_images():
    network, (images, labels) = tiny_network(), some_images()
    batches = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    table = score(network, batches, torch.device("cpu"), mixings=M, mixture="dmixup", baselines=True, seed=9)
    assert network.backbone.stages[0].asked == 2 * M + 2  # M passes over the images, and one for the baselines
    assert list(table) == ["label", "mean", "std", "cv", "dropout", "k_centre"]
    assert table["label"].tolist() == labels.tolist()
    rng = Generator().manual_seed(9)
    losses = mixture_losses(network, images[:4], labels[:4], rng, mixings=M, mixture="dmixup")
    for row, values in zip(table.to_dict("records"), losses.tolist(), strict=False):
        mean = sum(values) / M
        std = math.sqrt(sum((value - mean) ** 2 for value in values) / M)
        assert (row["mean"], row["std"], row["cv"]) == pytest.approx((mean, std, std / mean))


def test_a_network_that_knows_nothing_is_equally_uncertain_of_every_mixture():
    network, (images, labels) = tiny_network(), some_images()
    nn.init.zeros_(network.backbone.head.weight)
    nn.init.zeros_(network.backbone.head.bias)
    table = score(network, [(images, labels)], torch.device("cpu"), mixings=M, baselines=True)
    assert table["mean"].tolist() == pytest.approx([math.log(L)] * B)
    assert table["cv"].tolist() == pytest.approx([0.0] * B, abs=1e-6)
    assert table["dropout"].tolist() == pytest.approx([0.0] * B, abs=1e-12)
    assert list(score(network, [(images, labels)], torch.device("cpu"), mixings=2)) == ["label", "mean", "std", "cv"]


def test_dropout_is_the_mutual_information_of_a_coin():
    """One feature, kept and doubled or dropped, decides between two classes: nearly a bit of both answers is shared.

    Of the second image a kept feature decides nothing: the probabilities are 1/2 or 1, and their mean 3/4.
    """
    backbone = Backbone([nn.Identity()], num_features=1, num_classes=2)
    network = Network(backbone, [0.0], [1.0]).double()
    backbone.head.weight.data = torch.tensor([[400.0], [-400.0]], dtype=torch.double)
    backbone.head.bias.data = torch.tensor([-500.0, 500.0], dtype=torch.double)
    features = torch.tensor([[1.0], [0.625]]).double()
    found = dropout_uncertainty(network, features, Generator().manual_seed(0), passes=4000)
    quarter = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert found.tolist() == pytest.approx([math.log(2), quarter - math.log(2) / 2], abs=5e-3)
    many = torch.ones(40, 1).double()
    once, again = (dropout_uncertainty(network, many, Generator().manual_seed(0), passes=3) for _ in range(2))
    assert torch.equal(once, again)


def test_the_k_centres_are_each_the_farthest_from_all_before_it():
    features = torch.tensor([[0.0, 50.0], [4.0, 50.0], [10.0, 50.0], [5.5, 50.0], [100.0, 50.0], *[[9.0, 50.0]] * 2])
    labels = torch.tensor([0, 0, 0, 0, 1, 0, 0])
    # The mean of class 0 is 6.25: 5.5, then 0 (5.5 away), then 10 (4.5), then 4 (1.5), then each 9 (1, and 0).
    assert k_centre_order(features, labels).tolist() == [1, 3, 2, 0, 0, 4, 5]
