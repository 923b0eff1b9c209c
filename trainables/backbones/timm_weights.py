"""The weights that timm publishes: kept in the data root, and fetched from Hugging Face where they are missing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from trainables.backbones import PREFIX
from trainables.datasets.dataset import DataError
from trainables.refusals import first_line

WEIGHTS = "timm"  # the value of ``pretrained`` for the weights of the model's tag
FOLDER = "timm"  # of weights, in the data root
FILE = "model.safetensors"


def require_weights(backbone: str) -> None:
    """Raise ``ValueError``, which names the tags that there are, unless timm has weights for ``backbone``."""
    import timm

    name = backbone.removeprefix(PREFIX)
    if not timm.is_model_pretrained(name):
        model = name.partition(".")[0]
        tags = [f"{PREFIX}{tagged}" for tagged in timm.list_pretrained(model)]
        there = f"it has {', '.join(tags)}" if tags else "it has none for this model"
        raise ValueError(f"timm has no weights for backbone {backbone!r}; {there}")


def prepare_weights(backbone: str, data_root: Path) -> Path:
    """Return the file of the weights, ``<data root>/timm/NAME/model.safetensors``, fetched if it is not there."""
    from huggingface_hub import hf_hub_download

    file = file_of(backbone, data_root)
    if not file.exists():
        try:
            hf_hub_download(_known(backbone).hf_hub_id, FILE, local_dir=file.parent)
        except Exception as error:
            reason = first_line(error)
            raise DataError(
                f"the weights of {backbone} are not at {file} and cannot be fetched from Hugging Face: {reason}"
            ) from None
    return file


def file_of(backbone: str, data_root: Path) -> Path:
    """Return the file in which the weights are, or will be."""
    known = _known(backbone)
    return data_root / FOLDER / (f"{known.architecture}.{known.tag}" if known.tag else str(known.architecture)) / FILE


def _known(backbone: str) -> Any:
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(backbone.removeprefix(PREFIX))
    assert known is not None, backbone
    return known


def load_weights(backbone: str, data_root: Path) -> Mapping[str, Tensor]:
    """Return timm's state_dict; errors as ``prepare_weights``, and for a file that is broken."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = prepare_weights(backbone, data_root)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it, and it is fetched again") from None
