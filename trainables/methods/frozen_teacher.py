"""SuperMix's teacher: a frozen network from a file, or the network that is being trained.

Dabouei et al., CVPR 2021 (arXiv:2003.05034). The masks themselves are in ``mixers/supermix.py``.
"""

import pickle
from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from trainables.backbones.backbone import Network
from trainables.backbones.names import constructor_of
from trainables.config import Config
from trainables.methods.inputs import INPUTS
from trainables.methods.mixing import Mixing
from trainables.mixers.mixed import Mixed


class SuperMixing(Mixing):
    """Mixes by masks that ``mixer.teacher`` shapes, and is otherwise as ``Mixing``.

    ``mixer.teacher`` is a file that holds the state_dict of the same backbone, such as the ``model.pt`` of an
    earlier run without mixing, as in the paper. Without a file the network teaches itself, as it is
    at each step: then hardly a row is mixed before it has learned something.
    """

    def __init__(self, network: Network, config: Config, num_classes: int) -> None:
        options = dict(config.mixer_options)
        file = options.pop("teacher", None)
        super().__init__(network, replace(config, mixer_options=options), num_classes)
        self.teacher: Network | None = None
        if file is not None:
            self.teacher = frozen_teacher(network, config.backbone, Path(file))

    def mixture(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        """See ``Mixing.mixture``."""
        teach = INPUTS["teach"](self.teacher or self.network, images, labels)
        return self.mixer(images, rng, teach=teach)


def frozen_teacher(network: Network, backbone: str, file: Path) -> Network:
    """Return a network like ``network`` with the weights in ``file`` for its backbone, which are never trained.

    Raises:
        ValueError: there is no such file, or it does not hold the weights of a ``backbone`` for these classes.
    """
    channels = network.mean.shape[1]
    unread = constructor_of(backbone)(num_classes=network.backbone.head.out_features, in_channels=channels)
    teacher = Network(unread, [0.0] * channels, [1.0] * channels)
    teacher.mean, teacher.std = network.mean, network.std
    try:
        unread.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"mixer.teacher must hold the state_dict of a {backbone}, got {str(file)!r}: {reason}"
        ) from None
    return teacher.requires_grad_(False)
