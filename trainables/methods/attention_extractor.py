"""Attentive CutMix's attention, from a file with a ResNet trained on ImageNet or from the network being trained.

Walawalkar et al., ICASSP 2020 (arXiv:2003.13048). The mixing itself is in ``mixers/attentivemix.py``.
"""

import pickle
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torchvision.models.resnet import ResNet, resnet18, resnet50

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.methods.mixing import Mixing
from trainables.mixers.mixed import Mixed

SIDE = 224  # pixels: the extractors were trained on this size, which gives a map of 7 x 7 cells
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class AttentiveMixing(Mixing):
    """Plain mixing by an attention that ``mixer.extractor`` computes.

    ``mixer.extractor`` is a file that holds torchvision's weights of a ResNet-18 (as OpenMixup has it) or a
    ResNet-50 (as the paper has it); nothing is fetched. Without a file the trained network's own attention is used.
    """

    def __init__(self, network: Network, config: Config, num_classes: int) -> None:
        options = dict(config.mixer_options)
        file = options.pop("extractor", None)
        super().__init__(network, replace(config, mixer_options=options), num_classes)
        self.extractor = None if file is None else Extractor(Path(file))

    def mixture(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        """See ``Mixing.mixture``."""
        if self.extractor is None:
            return super().mixture(images, labels, rng)
        return self.mixer(images, rng, attention=self.extractor(images))


class Extractor(nn.Module):
    """A frozen ResNet without its head; raises ``ValueError`` for a file that holds no such weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.stages = nn.Sequential(*list(_read(file).children())[:-2]).requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return the mean over channels of the last map, (B, 7, 7), of pixels (B, 3, H, W) in [0, 1]."""
        enlarged = F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
        return self.eval().stages((enlarged - self.mean) / self.std).mean(dim=1)


def _read(file: Path) -> ResNet:
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
        network = resnet50() if "layer1.0.conv3.weight" in weights else resnet18()
        network.load_state_dict(weights)
    except (OSError, RuntimeError, pickle.UnpicklingError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"mixer.extractor must hold a ResNet-18's or -50's weights, got {str(file)!r}: {reason}"
        ) from None
    return network
