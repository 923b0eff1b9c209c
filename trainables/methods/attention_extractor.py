"""Attentive CutMix's attention, from a file with a ResNet of ImageNet or from an average of the trained network.

Walawalkar et al., ICASSP 2020 (arXiv:2003.13048). The mixing itself is in ``mixers/attentivemix.py``.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torchvision.models.resnet import resnet18, resnet50

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.constants import constant
from trainables.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD
from trainables.methods.inputs import map_attention
from trainables.methods.method import Counting
from trainables.methods.mixing import Mixing
from trainables.methods.momentum_pipeline import follow
from trainables.methods.network import build_network, weights_in
from trainables.mixers.mixed import Mixed

SIDE = 224  # pixels: the extractors were trained on this size
CELLS = (7, 7)  # of their maps of it


class AttentiveMixing(Mixing):
    """Plain mixing by an attention that ``mixer.extractor`` computes.

    ``mixer.extractor`` is a file that holds torchvision's weights of a ResNet-18 (as OpenMixup has it) or a
    ResNet-50 (as the paper has it); nothing is fetched. Without a file the attention is that of the network being
    trained, in the moving average of decay ``mixer.ema``; at 0, of the network as it is.
    """

    def __init__(self, network: Network, config: Config) -> None:
        super().__init__(network, config)
        file, decay = config.mixer_options["extractor"], config.mixer_options["ema"]
        self.extractor = None if file is None else Extractor(file)
        self.average: MovingAverage | None = None
        if file is None and decay > 0:
            # A deep copy could not be made when the cost is estimated, on tensors without numbers.
            self.average = MovingAverage(build_network(config), decay)
            self.average.network.load_state_dict(network.state_dict())

    def mixture(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        if self.extractor is not None:
            return self.mixer(images, rng, attention=self.extractor(images))
        network = self.network if self.average is None else self.average.network
        return self.mixer(images, rng, attention=map_attention(network, images, labels))

    def after_step(self, progress: float) -> None:
        if self.average is not None:
            self.average.follow(self.network)


class MovingAverage(Counting):
    """A slow copy of a network: its weights and batch norms' statistics are averages over the latest steps.

    After t steps it keeps ``(1 + t) / (10 + t)`` of what it was, up to ``decay``, so that it soon leaves its start.
    """

    def __init__(self, network: Network, decay: float) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def follow(self, network: Network) -> None:
        """Move towards the network after its latest step."""
        self.count += 1
        keep = min(self.decay, (1 + self.count) / (10 + self.count))
        follow(self.network.state_dict().values(), network.state_dict().values(), keep)


class Extractor(nn.Module):
    """A frozen ResNet without its head; raises ``ValueError`` for a file that holds no such weights.

    It sees the images as it did in its training. OpenMixup normalises them by the statistics of the data set, and its
    batch norms by those of the batch.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        with weights_in(file, "mixer.extractor", "a ResNet-18's or -50's weights") as weights:
            network = resnet50() if "layer1.0.conv3.weight" in weights else resnet18()
            network.load_state_dict(weights)
        self.stages = nn.Sequential(*list(network.children())[:-2]).requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return the mean over channels of the last map, (B, 7, 7), of pixels (B, 3, H, W) in [0, 1]."""
        enlarged = F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
        mean, std = (constant(of, images.device).view(1, 3, 1, 1) for of in (IMAGENET_MEAN, IMAGENET_STD))
        return self.eval().stages((enlarged - mean) / std).mean(dim=1)
