"""Other trackers that show what MLflow records. A mirror is a file, and its line here.

MLflow stays the one record: nothing is read back from a mirror, and one that fails is dropped.
"""

from collections.abc import Callable
from pathlib import Path

from mixlab.tracking.mirrors.mirror import Mirror
from mixlab.tracking.mirrors.run_api import Trackio, WeightsAndBiases
from mixlab.tracking.mirrors.tensorboard import TensorBoard

# name: constructor, which takes the name of the study and the folder of its results
MIRRORS: dict[str, Callable[[str, Path], Mirror]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WeightsAndBiases,
}
