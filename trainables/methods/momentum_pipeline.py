"""The momentum pipeline: a slow copy of the network follows the one that is trained, and the copy is tested.

Liu et al., ECCV 2022 (arXiv:2103.13027), section 3.2 and Table 8, where it is tried with mixup and CutMix too. AutoMix
itself, whose masks come from the slow copy, is in ``mask_learning.py``.

Shape letters: B batch, C channels, L classes.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from trainables.backbones.backbone import Network, read_out
from trainables.config import Config
from trainables.methods.method import Method, Step
from trainables.methods.mixing import Mixing
from trainables.mixers.mixed import alone
from trainables.optimisation.schedules import cosine


class MomentumPipeline(Method):
    """Trains as another method does, and tests a slow copy of its network; written ``mixer.pipeline``.

    With ``mp_ce`` the network also learns from the unmixed images, by a second head. With ``mp_m0`` the copy has the
    network's weights after every step, so that it changes nothing. The copy averages the statistics of batch norms like
    the weights, because it sees no images itself, unlike the copy in AutoMix.
    """

    def __init__(self, method: Mixing, config: Config) -> None:
        super().__init__(method.network)
        self.method = method
        self.options = config.mixer_options
        self.teacher = copy.deepcopy(method.network).requires_grad_(False)
        self.heads = plain_heads(method.network) if self.options["pipeline"] == "mp_ce" else None

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        if self.heads is None:
            return self.method(images, labels, rng)
        logits = read_out(self.heads[0], self.network.forward_features(images))
        one_loss = self.method.loss(logits, labels, alone(images))
        loss, log = self.method(images, labels, rng)
        return Step(loss + one_loss, {**log, "loss_one": one_loss.detach()})

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """See ``Method.after_step``: the copy follows, Eq. 12."""
        self.method.after_step(progress)
        keep = momentum(progress, self.options)
        follow(self.teacher.state_dict().values(), self.network.state_dict().values(), keep)
        if self.heads is not None:
            follow(self.heads[1].parameters(), self.heads[0].parameters(), keep)

    @property
    def evaluated(self) -> Network:
        """Return the slow copy."""
        return self.teacher

    @property
    def also_tested(self) -> dict[str, nn.Module]:
        """See ``Method.also_tested``: the network that is trained, and the heads for plain images."""
        return other_heads(self.network, self.teacher, self.heads)


def plain_heads(network: Network) -> nn.ModuleList:
    """Return a head for plain images and its slow copy, both of which start as the network's own head."""
    own = network.backbone.head
    heads = [nn.Linear(own.in_features, own.out_features) for _ in range(2)]
    for head in heads:
        head.load_state_dict(own.state_dict())
    heads[1].requires_grad_(False)
    return nn.ModuleList(heads)


def momentum(progress: float, options: Mapping[str, Any]) -> float:
    """Return m of Eq. 12 when the share ``progress`` of the training is done: 0 with ``mp_m0``.

    It is ``first_momentum`` up to ``momentum_from``, and then follows a cosine to ``last_momentum``. The cosine runs
    over the whole training and is cut off, not shifted, as in OpenMixup.
    """
    if options["pipeline"] == "mp_m0":
        return 0.0
    first: float = options["first_momentum"]
    return first if progress < options["momentum_from"] else cosine(first, options["last_momentum"], progress)


def follow(slow: Iterable[Tensor], fast: Iterable[Tensor], keep: float) -> None:
    """Let the tensors of a slow copy follow the trained ones: ``keep`` is m of Eq. 12, and 0 makes them the same.

    Whole numbers, such as how many batches a batch norm has seen, are copied in any case.
    """
    pairs = list(zip(slow, fast, strict=True))
    averaged = [pair for pair in pairs if pair[0].is_floating_point()]
    get_ema_multi_avg_fn(keep)([own for own, _ in averaged], [trained for _, trained in averaged], 0)
    for own, trained in pairs:
        if not own.is_floating_point():
            own.copy_(trained)


def other_heads(network: Network, teacher: Network, heads: nn.ModuleList | None) -> dict[str, nn.Module]:
    """Return by name the networks that are tested besides the teacher with its head for mixed images.

    OpenMixup reports the best of the four, which is a choice by the test set.
    """
    if heads is None:
        return {"student_mixed": network}
    return {
        "teacher_one": _Headed(teacher, heads[1]),
        "student_mixed": network,
        "student_one": _Headed(network, heads[0]),
    }


class _Headed(nn.Module):
    """A network's features, read by another head."""

    def __init__(self, network: Network, head: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, L) from pixels (B, C, H, W)."""
        return read_out(self.head, self.network.forward_features(images))
