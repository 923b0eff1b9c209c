"""Token merging: similar tokens of a vision transformer become one; and its attention afterwards.

Bolya, Fu, Dai, Zhang, Feichtenhofer, Hoffman, "Token Merging: Your ViT But Faster", ICLR 2023 (arXiv:2210.09461).

Shape letters: B batch, T tokens (the class token, then the patches), D features, h and w of the grid of patches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.backbones.deit import Block, DeiT


def merged_attention(backbone: DeiT, images: Tensor, share: float) -> Tensor:
    """Return the attention of the class token to each patch in the last block, (B, h, w), the mean of the heads.

    The ``share`` of the patches, in [0, 1), is merged away, the same number in each block but the last. Patches that
    were merged share the attention of the one that they became. Images (B, C, H, W) are normalised, and the backbone is
    in evaluation mode, so that no drop-path is drawn.
    """
    stem, *blocks = backbone.stages
    tokens = stem(images)[:, :, 0].mT  # (B, T, D)
    size = tokens.new_ones(tokens.shape[:2])  # (B, T) patches in a token
    source = torch.arange(tokens.shape[1], device=tokens.device).expand(len(tokens), -1)  # (B, T) each one's token now
    left = int(share * (tokens.shape[1] - 1))
    for number, block in enumerate(blocks):
        assert isinstance(block, Block)
        attended, keys, paid = attend(block, block.ln_1(tokens), size)
        tokens = tokens + attended
        later = len(blocks) - 1 - number
        merges = min(-(-left // later), (tokens.shape[1] - 1) // 2) if later else 0
        if merges:
            left -= merges
            place = destinations(keys, merges)  # (B, T)
            source = place.gather(1, source)
            tokens, size = merge(tokens, size, place, tokens.shape[1] - merges)
        tokens = tokens + block.mlp(block.ln_2(tokens))
    return paid.gather(1, source)[:, 1:].unflatten(1, (backbone.side, backbone.side))


def attend(block: Block, query: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a block's self-attention of tokens (B, T, D), each of which counts for its ``size`` (B, T) patches.

    The result is the update of the tokens, (B, T, D); the mean of the keys over the heads, (B, T, D / heads); and the
    attention of the class token to each token, (B, T), the mean over the heads.
    """
    attention = block.self_attention
    heads = attention.num_heads
    projected = F.linear(query, attention.in_proj_weight, attention.in_proj_bias)
    queries, keys, values = projected.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, T, D / heads)
    scores = queries @ keys.mT / keys.shape[-1] ** 0.5 + size.log()[:, None, None]
    shares = scores.softmax(dim=-1)  # (B, heads, T, T)
    seen = (shares @ values).transpose(1, 2).flatten(2)  # (B, T, D)
    return attention.out_proj(seen), keys.mean(dim=1), shares[:, :, 0].mean(dim=1)


def destinations(keys: Tensor, merges: int) -> Tensor:
    """Return where each token goes, (B, T) int64, when the ``merges`` most alike pairs become one: bipartite matching.

    Tokens are alike by the angle between their keys (B, T, d). Every second token, from the first on, looks for its
    nearest among the others. The class token stays the first.
    """
    unit = F.normalize(keys, dim=-1)
    scores = unit[:, ::2] @ unit[:, 1::2].mT  # (B, T / 2, T / 2)
    scores[:, 0] = -torch.inf
    best, nearest = scores.max(dim=-1)  # (B, T / 2)
    rank = best.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    merged = rank < merges
    kept = (~merged).cumsum(dim=1) - 1  # the places of those that stay
    others = scores.shape[1] - merges + torch.arange(unit[:, 1::2].shape[1], device=keys.device)  # follow after them
    place = keys.new_empty(keys.shape[:2], dtype=torch.long)
    place[:, ::2] = torch.where(merged, others[nearest], kept)
    place[:, 1::2] = others
    return place


def merge(tokens: Tensor, size: Tensor, place: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the means of the tokens (B, T, D) at each place (B, T), weighted by size (B, T), and the summed sizes."""
    total = size.new_zeros(len(size), count).scatter_add(1, place, size)
    weighted = (tokens * size[:, :, None]).to(tokens.dtype)
    summed = tokens.new_zeros(len(tokens), count, tokens.shape[2])
    summed = summed.scatter_add(1, place[:, :, None].expand_as(tokens), weighted)
    return summed / total[:, :, None], total
