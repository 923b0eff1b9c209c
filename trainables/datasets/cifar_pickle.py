"""The pickled batches of the official python versions of CIFAR, read without running anything that they name."""

import io
import pickle
from typing import Any

from trainables.datasets.dataset import DataError

# What a pickled array names up to protocol 4 (the official files have 2), and nothing else.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_batch(content: bytes) -> dict[str, Any]:
    """Return the dictionary of one batch file: ``data`` (N, 3072) uint8, ``labels`` or ``fine_labels``, N integers.

    Only arrays, lists, strings and numbers are read: ``DataError`` refuses a file that names any other object.
    """
    try:
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        raise DataError(f"not a CIFAR batch file ({error})") from error
    if not isinstance(batch, dict):
        raise DataError(f"not a CIFAR batch file (it holds a {type(batch).__name__} instead of a dict)")
    return batch
