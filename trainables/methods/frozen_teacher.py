"""SuperMix's teacher: a frozen network from a file, or the network that is being trained.

Dabouei et al., CVPR 2021 (arXiv:2003.05034). The masks themselves are in ``mixers/supermix.py``.
"""

from functools import partial

from torch import Generator, Tensor

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.methods.inputs import classify
from trainables.methods.mixing import Mixing
from trainables.methods.network import build_network, weights_in
from trainables.mixers.mixed import Mixed


class SuperMixing(Mixing):
    """Plain mixing by masks that a teacher shapes.

    ``mixer.teacher`` is a file that holds the state_dict of the same backbone, such as the ``model.pt`` of an earlier
    run without mixing, as in the paper. Without a file the network teaches itself, as it is at each step: then hardly a
    row is mixed before it has learned something.
    """

    def __init__(self, network: Network, config: Config) -> None:
        super().__init__(network, config)
        file = config.mixer_options["teacher"]
        self.teacher: Network | None = None
        if file is not None:
            self.teacher = build_network(config).requires_grad_(False)
            with weights_in(file, "mixer.teacher", f"the state_dict of a {config.backbone}") as weights:
                self.teacher.backbone.load_state_dict(weights)

    def mixture(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        return self.mixer(images, rng, teach=partial(classify, self.teacher or self.network))
