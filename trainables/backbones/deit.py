"""Vision transformers with a class token, built of torchvision's layers: DeiT-S, and a small one for 32 pixels.

Touvron, Cord, Douze, Massa, Sablayrolles, Jegou, "Training data-efficient image transformers & distillation through
attention", ICML 2021 (arXiv:2012.12877), without distillation.

Shape letters: B batch, D features, T tokens (the class token, then the patches row by row), h and w of their grid.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import EncoderBlock, VisionTransformer
from torchvision.ops import StochasticDepth

from trainables.backbones.backbone import Backbone, layer_defaults
from trainables.refusals import counted


class Tokens(nn.Module):
    """The stem: it turns an image into its class token and patches, each with its position embedding added."""

    def __init__(self, full: VisionTransformer) -> None:
        super().__init__()
        self.conv_proj = full.conv_proj
        self.class_token = full.class_token  # (1, 1, D)
        self.pos_embedding = full.encoder.pos_embedding  # (1, T, D)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (B, D, 1, T) from images (B, C, H, W)."""
        patches = self.conv_proj(images).flatten(2).mT  # (B, T - 1, D)
        seen, wanted = patches.shape[1], self.pos_embedding.shape[1] - 1
        if seen != wanted:
            raise RuntimeError(f"it was built for {counted(wanted, 'patch')}, and these images have {seen}")
        tokens = torch.cat((self.class_token.expand(len(images), -1, -1), patches), dim=1) + self.pos_embedding
        return tokens.mT[:, :, None]


class Block(EncoderBlock):
    """Self-attention and a perceptron, each with a shortcut and drop-path, which torchvision's block lacks."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__(heads, width, 4 * width, dropout=0.0, attention_dropout=0.0)
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, maps: Tensor) -> Tensor:
        """Map tokens (B, D, 1, T) to tokens of the same shape."""
        tokens = maps[:, :, 0].mT
        query = self.ln_1(tokens)
        attended, _ = self.self_attention(query, query, query, need_weights=False)
        tokens = tokens + self.drop_path(attended)
        tokens = tokens + self.drop_path(self.mlp(self.ln_2(tokens)))
        return tokens.mT[:, :, None]

    def attention(self, maps: Tensor) -> Tensor:
        """Return the attention of each token to every token, (B, T, T), the mean of the heads; rows sum to 1."""
        query = self.ln_1(maps[:, :, 0].mT)
        return self.self_attention(query, query, query, need_weights=True)[1]


class DeiT(Backbone):
    """Stage 0 makes tokens, and stage k is block k. A map is (B, D, 1, T), one row of tokens, the class token first.

    A mixer of hidden layers therefore mixes all tokens, the class token too; ``grid`` returns the patches alone.
    """

    drawn_as = "transformer"

    def __init__(
        self,
        *,
        patch: int,  # pixels a side
        width: int,  # D
        depth: int,  # blocks
        heads: int,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 224,
        drop_path: float = 0.0,
    ) -> None:
        if image_size % patch != 0:
            raise ValueError(f"image_size must be a multiple of {patch}, the side of a patch, got {image_size}")
        full = layer_defaults(VisionTransformer(image_size, patch, 0, heads, width, 4 * width))
        if in_channels != 3:
            full.conv_proj = nn.Conv2d(in_channels, width, patch, patch)
        blocks = [Block(width, heads, drop_path * index / (depth - 1)) for index in range(depth)]
        super().__init__([Tokens(full), *map(layer_defaults, blocks)], width, num_classes, neck=full.encoder.ln)
        self.side = image_size // patch

    def grid(self, maps: Tensor) -> Tensor:
        """Return the patches (B, D, h, w) of tokens (B, D, 1, T)."""
        return maps[:, :, 0, 1:].unflatten(2, (self.side, self.side))

    def pool(self, maps: Tensor) -> Tensor:
        """Return the class token (B, D) of tokens (B, D, 1, T), normalised."""
        return self.neck(maps[:, :, 0, 0])

    def class_attention(self, images: Tensor) -> Tensor:
        """Return the attention of the class token to each patch in the last block, (B, h, w), the mean of the heads."""
        last = self.stages[-1]
        assert isinstance(last, Block)
        paid = last.attention(self.encode(images, 0, -1))[:, 0, 1:]
        return paid.unflatten(1, (self.side, self.side))


# constructor(num_classes=..., in_channels=3, image_size=..., drop_path=0.0)
# 22.1 M parameters at 224 pixels and 1000 classes; the paper's drop-path is 0.1.
deit_small = partial(DeiT, patch=16, width=384, depth=12, heads=6)
# 0.46 M: DeiT with a quarter of the width and a third of the depth, which cuts 32 pixels into 8 x 8 patches and learns
# small images on a laptop's processor; no paper has it.
vit_tiny_32 = partial(DeiT, patch=4, width=96, depth=4, heads=3, image_size=32)
