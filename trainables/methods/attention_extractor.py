"""Attentive CutMix's attention, from a file with a ResNet trained on ImageNet or from the network being trained.

Walawalkar et al., ICASSP 2020 (arXiv:2003.13048). The mixing itself is in ``mixers/attentivemix.py``.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torchvision.models.resnet import resnet18, resnet50

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD
from trainables.methods.mixing import Mixing
from trainables.methods.weight_files import weights_in
from trainables.mixers.mixed import Mixed

SIDE = 224  # pixels: the extractors were trained on this size, which gives a map of 7 x 7 cells


class AttentiveMixing(Mixing):
    """Plain mixing by an attention that ``mixer.extractor`` computes.

    ``mixer.extractor`` is a file that holds torchvision's weights of a ResNet-18 (as OpenMixup has it) or a
    ResNet-50 (as the paper has it); nothing is fetched. Without a file the trained network's own attention is used.
    """

    def __init__(self, network: Network, config: Config) -> None:
        super().__init__(network, config)
        file = config.mixer_options["extractor"]
        self.extractor = None if file is None else Extractor(file)

    def mixture(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        """See ``Mixing.mixture``."""
        if self.extractor is None:
            return super().mixture(images, labels, rng)
        return self.mixer(images, rng, attention=self.extractor(images))


class Extractor(nn.Module):
    """A frozen ResNet without its head; raises ``ValueError`` for a file that holds no such weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, file: str) -> None:
        super().__init__()
        with weights_in(file, "mixer.extractor", "a ResNet-18's or -50's weights") as weights:
            network = resnet50() if "layer1.0.conv3.weight" in weights else resnet18()
            network.load_state_dict(weights)
        self.stages = nn.Sequential(*list(network.children())[:-2]).requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return the mean over channels of the last map, (B, 7, 7), of pixels (B, 3, H, W) in [0, 1]."""
        enlarged = F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
        return self.eval().stages((enlarged - self.mean) / self.std).mean(dim=1)
