"""Finds the constructor of a backbone by its name, and refuses unknown names before anything is imported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from trainables.backbones import BACKBONES, PREFIX, RESIDUAL_FAMILIES
from trainables.refusals import require_known

if TYPE_CHECKING:
    from trainables.backbones.backbone import Backbone

RESIDUAL = tuple(name for _, names in RESIDUAL_FAMILIES for name in names)


def require_backbone(name: str) -> None:
    """Raise ``ValueError``, which names the nearest, unless ``name`` is one of ``BACKBONES`` or of timm's models."""
    if name in BACKBONES:
        return
    import timm  # seconds

    of_timm = timm.is_model(name.removeprefix(PREFIX))
    if not name.startswith(PREFIX):
        if of_timm:
            raise ValueError(f"unknown backbone {name!r}; timm has it as '{PREFIX}{name}'")
        require_known("backbone", name, BACKBONES)
    if not of_timm:
        require_known("backbone", name, [f"{PREFIX}{model}" for model in timm.list_models()])


def constructor_of(name: str) -> Callable[..., Backbone]:
    """Return the constructor of one of ``BACKBONES`` or of ``timm/NAME``; raise ``ValueError`` if there is none."""
    require_backbone(name)
    if name.startswith(PREFIX):
        from trainables.backbones.timm_models import timm_backbone

        return partial(timm_backbone, name.removeprefix(PREFIX))
    return BACKBONES[name]
