"""Recipes of K-image mixing (Jeong et al., IEEE Access 2023) and Co-Mixup (arXiv:2102.03065), from their own code."""

from trainables.recipes.recipe import Recipe
from trainables.recipes.small_images import CIFAR100_RESNET18

# The CutMix baselines of the paper have weight decay 1e-4 and milestones 0.5, 0.75.
CIFAR100_PYRAMIDNET110: Recipe = {
    **CIFAR100_RESNET18,
    "backbone": "pyramidnet110",
    "epochs": 300,
    "batch_size": 64,
    "lr": 0.25,
    "nesterov": True,
    "weight_decay": 4e-5,
    "schedule": "multistep",
    "milestones": (0.75, 0.9),
}
CIFAR100_PYRAMIDNET200: Recipe = {
    **CIFAR100_PYRAMIDNET110,
    "backbone": "pyramidnet200",
    "mixer.alpha": 1.0,
}
CIFAR100_PREACT_RESNET18: Recipe = {
    **CIFAR100_RESNET18,
    "backbone": "preact_resnet18",
    "epochs": 300,
    "lr": 0.2,
    "nesterov": True,
    "schedule": "multistep",
    "milestones": (1 / 3, 2 / 3),
    "mixer.alpha": 2.0,
}
