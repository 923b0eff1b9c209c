"""The optimisers: SGD, AdamW and LAMB, which weights decay, and how long a gradient may be.

Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019 (arXiv:1711.05101); You, Li, Reddi et al.,
"Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020 (arXiv:1904.00962).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from trainables.optimisation.optimiser_config import OptimiserConfig
from trainables.optimisation.schedules import ScheduleConfig, learning_rate

BETAS = (0.9, 0.999)  # for AdamW and LAMB, as in every recipe
LAMB_EPS = 1e-6
EMBEDDINGS = ("class_token", "pos_embedding", "relative_position_bias_table", "layer_scale")


def build_optimiser(config: OptimiserConfig, lr: float, method: nn.Module, *, exempt: bool = True) -> Optimizer:
    """Return the optimiser of every weight of ``method``; for ``exempt`` see ``parameter_groups``.

    On a GPU one kernel takes the step of SGD and of AdamW, and reads the learning rate there, as a CUDA graph must.
    """
    groups = parameter_groups(config, method, exempt=exempt)
    if config.optimiser == "lamb":
        return Lamb(groups, lr=lr, betas=BETAS, eps=LAMB_EPS, weight_decay=config.weight_decay)
    device = next(method.parameters()).device
    on_gpu = device.type == "cuda"
    optimiser: Optimizer
    if config.optimiser == "adamw":
        options: dict[str, Any] = {"betas": BETAS, "weight_decay": config.weight_decay, "capturable": on_gpu}
        optimiser = torch.optim.AdamW(groups, lr=lr, fused=on_gpu, **options)
    else:
        options = {"momentum": config.momentum, "nesterov": config.nesterov, "weight_decay": config.weight_decay}
        optimiser = torch.optim.SGD(groups, lr=lr, fused=on_gpu, **options)
    if on_gpu:
        for group in optimiser.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=device)
        if isinstance(optimiser, torch.optim.SGD):
            begin_at_rest(optimiser)
    return optimiser


def begin_at_rest(optimiser: Optimizer) -> None:
    """Give the weights of SGD a momentum of zero, with which its first step is the same as without one.

    Torch makes the momentum in the first step, and one kernel fills it. If that step is skipped, because float16
    overflowed, it would keep whatever the memory held.
    """
    for group in optimiser.param_groups:
        if group["momentum"]:
            for weight in group["params"]:
                if weight.requires_grad:
                    optimiser.state[weight]["momentum_buffer"] = torch.zeros_like(weight)


def set_lr(optimiser: Optimizer, config: ScheduleConfig, done: float) -> None:
    """Set the learning rate of the step that is taken when ``done`` epochs are over.

    A group with a rate of its own has no warm-up, as in OpenMixup.
    """
    for group in optimiser.param_groups:
        own = {name: group[key] for name, key in (("lr", "peak_lr"), ("min_lr", "min_lr")) if key in group}
        rate = learning_rate(replace(config, **own, warmup_epochs=0) if own else config, done)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def load_optimiser(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Load a state_dict, perhaps of a run on other hardware; how a step is computed stays as it is here."""
    for saved, group in zip(state["param_groups"], optimiser.param_groups, strict=True):
        saved |= {key: group[key] for key in ("lr", "fused", "capturable") if key in group}
    optimiser.load_state_dict(state)


def group_sizes(state: dict[str, Any]) -> list[int]:
    """Return the number of weights in each group of an optimiser's state_dict."""
    return [len(group["params"]) for group in state["param_groups"]]


def parameter_groups(config: OptimiserConfig, method: nn.Module, *, exempt: bool = True) -> list[dict[str, Any]]:
    """Return the weights that decay, then those that do not; in both, weights with settings of their own are apart.

    Those that a model of timm exempts from decay, its embeddings, decayed in runs of earlier versions.
    """
    named = list(method.named_parameters())
    own: list[dict[str, Any]] = getattr(method, "own_groups", list)()
    apart = {id(p) for group in own for p in group["params"]}
    groups = [{"params": [p for _, p in named if id(p) not in apart]}, *own]
    if config.weight_decay_on == "all":
        return groups
    free = {id(p) for name, p in named if p.ndim <= 1 or name.rpartition(".")[2] in EMBEDDINGS}
    free |= _exempt(method) if exempt else set()
    decaying = [{**group, "params": [p for p in group["params"] if id(p) not in free]} for group in groups]
    exempted = [{**group, "params": [p for p in group["params"] if id(p) in free]} for group in groups]
    return [*decaying, *({**group, "weight_decay": 0.0} for group in exempted)]


def _exempt(method: nn.Module) -> set[int]:
    """Return the ids of the weights that the models of timm say should not decay: embeddings have other names there."""
    exempt: set[int] = set()
    for module in method.modules():
        names: set[str] = getattr(module, "no_weight_decay", set)()
        if names:
            exempt |= {id(p) for name, p in module.named_parameters() if name in names}
    return exempt


class Lamb(Optimizer):
    """AdamW with a step in each weight tensor that is as long as the tensor, times the learning rate.

    Unlike the paper, and like the implementations that the recipes were tuned with (Apex, timm), a group without
    weight decay takes AdamW's step as it is. Their clipping of the whole gradient at length 1 is ``grad_clip``.
    """

    def __init__(
        self, params: Iterable[Any], *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "step": 0})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            group["step"] += 1
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.add_(self._direction(weight, weight.grad, group), alpha=-group["lr"])

    def _direction(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Return the change of ``weight``, negated, per unit of the learning rate."""
        state = self.state[weight]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        (beta1, beta2), step = group["betas"], group["step"]
        mean = state["mean"].lerp_(gradient, 1 - beta1)
        square = state["square"].lerp_(gradient.square(), 1 - beta2)
        adam = (mean / (1 - beta1**step)) / ((square / (1 - beta2**step)).sqrt() + group["eps"])
        if group["weight_decay"] == 0:
            return adam
        direction = adam + group["weight_decay"] * weight
        length, wanted = direction.norm(), weight.norm()
        # This stays on the device: a comparison in Python would wait for the GPU once per tensor.
        return direction * torch.where((length > 0) & (wanted > 0), wanted / length, 1.0)
