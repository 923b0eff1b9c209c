"""Batch norm's statistics of the images that a network was trained on, before they were mixed, for its tests.

Training moves a network's running statistics by every batch that it sees, and a network that is tested on plain images
but trained on mixtures is tested with the statistics of mixtures. SUMix also sends each batch through before it is
mixed, so that part of its gain may be due to that alone. With ``recalibrate`` every test is made with statistics that
are taken again from unmixed images, as is usual for averaged weights (Izmailov et al. 2018, arXiv:1803.05407, Section
3.2); training goes on with its own.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainables.backbones.modes import batch_norms, evaluation_mode


@contextmanager
def recalibrated(network: nn.Module, batches: Iterable[Tensor], *, keep: bool) -> Iterator[None]:
    """Give the batch norms of ``network`` the mean statistics of ``batches``, (B, C, H, W) each, inside the block.

    The network sees each batch once, with dropout and drop-path off. With ``keep`` the statistics stay afterwards.
    """
    norms = batch_norms(network)
    before = [(norm.momentum, {name: value.clone() for name, value in norm.named_buffers()}) for norm in norms]
    try:
        # A compiled network would be compiled again for every momentum.
        with torch.no_grad(), evaluation_mode(network), torch.compiler.set_stance("force_eager"):
            for norm in norms:
                norm.train()
            for number, images in enumerate(batches, start=1):
                for norm in norms:
                    norm.momentum = 1 / number  # each batch counts alike; ``None`` would read the device each time
                network(images)
        yield
    finally:
        for norm, (momentum, buffers) in zip(norms, before, strict=True):
            norm.momentum = momentum
            if not keep:
                for name, value in norm.named_buffers():
                    value.copy_(buffers[name])
