"""TransMix: its weights by loops, and a small real transformer that trains with it."""

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.methods.small import method_for
from trainables.backbones import BACKBONES
from trainables.backbones.backbone import Backbone
from trainables.mixers.cutmix import cutmix
from trainables.mixers.mixed import Mixed
from trainables.mixers.transmix import transmix

B = 8


def colours() -> Tensor:
    return torch.arange(float(B))[:, None, None, None].expand(B, 3, 16, 12) / B


def attention(images: Tensor) -> Tensor:
    return torch.rand(len(images), 4, 3, generator=torch.Generator().manual_seed(1))


def mix(**options: object) -> Mixed:
    options = {"attend": attention, **options}
    return transmix(colours(), torch.Generator().manual_seed(0), **options)  # type: ignore[arg-type]


def test_the_images_are_cutmixs() -> None:
    plain = cutmix(colours(), torch.Generator().manual_seed(0))
    assert torch.equal(mix().images, plain.images)
    assert torch.equal(mix().sources, plain.sources)
    torch.testing.assert_close(mix(attention_share=0.0).weights, plain.weights)


@pytest.mark.parametrize("attention_share", [0.5, 1.0])
def test_the_weights_by_loops(attention_share: float) -> None:
    mixed = mix(attention_share=attention_share)
    seen = attention(mixed.images)
    compared = 0
    for row in range(B):
        if mixed.sources[row, 1] == row:
            continue
        own = mixed.images[row, 0] == row / B
        attended = sum(seen[row, i, j].item() for i in range(4) for j in range(3) if own[4 * i, 4 * j])
        attended /= seen[row].sum().item()
        wanted = attention_share * attended + (1 - attention_share) * own.float().mean().item()
        assert mixed.weights[row, 0].item() == pytest.approx(wanted, abs=1e-5)
        compared += 0 < attended < 1
    assert compared >= 2
    torch.testing.assert_close(mixed.weights.sum(dim=1), torch.ones(B))


def test_the_mixed_images_are_what_is_attended_to() -> None:
    asked: list[Tensor] = []

    def attend(images: Tensor) -> Tensor:
        asked.append(images)
        return attention(images)

    mixed = mix(attend=attend)
    assert torch.equal(asked[0], mixed.images)


class TinyTransformer(Backbone):
    """One attention block over 4 x 4 patches and a class token."""

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__([nn.Identity()], 16, num_classes)
        self.patches = nn.Conv2d(in_channels, 16, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 16))
        self.norm = nn.BatchNorm1d(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def tokens(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.patches(images)
        rows = torch.cat((self.token.expand(len(images), -1, -1), maps.flatten(2).mT), dim=1)
        rows = self.norm(rows.mT).mT
        out, weights = self.attention(rows, rows, rows, average_attn_weights=True)
        return rows + out, weights[:, 0, 1:].unflatten(1, maps.shape[2:])

    def forward_features(self, x: Tensor) -> Tensor:
        return self.tokens(x)[0][:, 0]

    def class_attention(self, images: Tensor) -> Tensor:
        return self.tokens(images)[1]


def test_a_transformer_trains_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "tiny_transformer", TinyTransformer)
    method = method_for("transmix", backbone="tiny_transformer")
    images, labels = torch.rand(B, 3, 16, 12, generator=torch.Generator().manual_seed(2)), torch.arange(B)
    loss, _ = method(images, labels, torch.Generator().manual_seed(0))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None for p in method.parameters())
    assert method.network.backbone.norm.num_batches_tracked == 1  # asking for the attention does not count
    area = cutmix(images, torch.Generator().manual_seed(0)).weights
    attended = method.mix(images, labels, torch.Generator().manual_seed(0)).weights
    assert attended.shape == area.shape
    assert (attended - area).abs().max() > 1e-3
