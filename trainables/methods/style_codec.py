"""The network between pixels and styles that StyleMix uses: AdaIN's, from a file, or the pixels themselves.

Huang, Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017
(arXiv:1703.06868). The mixing itself is in ``mixers/stylemix.py``.
"""

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.opening import dataset_of
from trainables.methods.mixing import Mixing
from trainables.methods.network import weights_in
from trainables.mixers.mixed import Mixed
from trainables.mixers.stylemix import Codec
from trainables.refusals import require_unset

PIXELS = Codec(lambda pixels: pixels, lambda features: features)


class StyleMixing(Mixing):
    """Plain mixing by a codec that ``mixer.codec_file`` holds; nothing is fetched.

    The file is what ``torch.save`` writes of ``{"encoder": state_dict, "decoder": state_dict}``: of AdaIN's two
    official files, ``vgg_normalised.pth`` and ``decoder.pth``, or of smaller networks of the same kind. Without a file
    a style is the mean and deviation of each colour.
    """

    def __init__(self, network: Network, config: Config) -> None:
        super().__init__(network, config)
        file, side = (config.mixer_options[name] for name in ("codec_file", "codec_side"))
        if dataset_of(config).image_shape[0] != 3:
            here = f"with dataset {config.dataset!r}"
            require_unset("mixer.codec_file", file, [None], "images of three channels", here)
        self.codec = None if file is None else StyleNetwork(file, side)

    def mixture(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        if self.codec is None:
            return self.mixer(images, rng, codec=PIXELS)
        codec = Codec(self.codec.encode, partial(self.codec.decode, sides=images.shape[2:]))
        with torch.no_grad():
            return self.mixer(images, rng, codec=codec)


class StyleNetwork(nn.Module):
    """A frozen encoder and decoder; raises ``ValueError`` for a file that does not hold such weights."""

    def __init__(self, file: str, side: int) -> None:
        super().__init__()
        self.side = side  # pixels at which the network sees the images
        with weights_in(file, "mixer.codec_file", "the weights of AdaIN's encoder and decoder") as found:
            decoder = _convolutions(found["decoder"])
            self.encoder = _encoder(_convolutions(found["encoder"]), features=decoder[0].in_channels)
            self.decoder = _decoder(decoder)
        least = 1 + 2 ** sum(isinstance(layer, nn.MaxPool2d) for layer in self.encoder)
        if side < least:  # its map would be one cell, which has no deviation
            raise ValueError(f"mixer.codec_side must be at least {least} with this codec, got {side}")
        self.requires_grad_(False)

    def encode(self, images: Tensor) -> Tensor:
        """Return features (B, D, h, w) of pixels (B, 3, H, W), which are enlarged to the side first."""
        return self.encoder(F.interpolate(images, (self.side, self.side), mode="bilinear", align_corners=False))

    def decode(self, features: Tensor, sides: torch.Size) -> Tensor:
        """Return pixels (B, 3, H, W) of these sides from features (B, D, h, w)."""
        return F.interpolate(self.decoder(features), sides, mode="bilinear", align_corners=False)


def _convolutions(weights: Mapping[str, Tensor]) -> list[nn.Conv2d]:
    """Return the convolutions of a sequence of layers, in its order, from its state_dict."""
    names = sorted((name.removesuffix(".weight") for name in weights if name.endswith(".weight")), key=int)
    found = []
    for name in names:
        weight = weights[f"{name}.weight"]
        width, inner, size, _ = weight.shape
        convolution = nn.Conv2d(inner, width, size, padding=size // 2, padding_mode="reflect")
        convolution.load_state_dict({"weight": weight, "bias": weights[f"{name}.bias"]})
        found.append(convolution)
    return found


def _encoder(convolutions: list[nn.Conv2d], features: int) -> nn.Sequential:
    """Return VGG's layers up to the first of so many ``features``; it pools before a convolution that adds any."""
    layers: list[nn.Module] = []
    for convolution in convolutions:
        if convolution.kernel_size == (1, 1):  # it normalises the colours
            layers.append(convolution)
            continue
        if convolution.in_channels > 3 and convolution.out_channels > convolution.in_channels:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        layers += [convolution, nn.ReLU()]
        if convolution.out_channels == features:
            return nn.Sequential(*layers)
    raise IndexError(f"no layer of the encoder has the {features} channels that the decoder takes")


def _decoder(convolutions: list[nn.Conv2d]) -> nn.Sequential:
    """Return the mirrored encoder: convolutions that remove channels, but the last, are followed by doubling."""
    layers: list[nn.Module] = []
    for convolution in convolutions[:-1]:
        layers += [convolution, nn.ReLU()]
        if convolution.out_channels < convolution.in_channels:
            layers.append(nn.Upsample(scale_factor=2))
    return nn.Sequential(*layers, convolutions[-1])
