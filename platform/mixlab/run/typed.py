"""A trainable that reports ``Epoch``s, for a schedule that takes one dictionary an epoch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixlab.spec.epoch import Epoch, epoch_of, summarised
from mixlab.spec.metric import Metric
from mixlab.storage.journal import JOURNAL, read_epochs

Save = Callable[[Path], None]


class Untyped:
    """``train``, which declares metrics, called with dotted keys and reporting dictionaries."""

    def __init__(self, train: Any) -> None:
        self.train = train

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.train, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Untyped, (self.train,)

    def __call__(self, config: Mapping[str, Any], seed: int, report: Any, resume_from: Path | None) -> dict[str, Any]:
        """Train once; see ``Trainable``."""
        keys = dict(config)
        data_root = Path(keys.pop("data_root"))
        metrics = [Metric.like(metric) for metric in self.train.metrics]
        epochs = _past(resume_from)

        def convert(reported: Any, save: Save) -> None:
            epochs.append(epoch_of(reported))
            report(_flat(summarised(epochs, metrics) if epochs[-1].last else epochs[-1]), save)

        last = self.train(keys, seed, convert, resume_from=resume_from, data_root=data_root)
        return _flat(summarised([*epochs[:-1], epoch_of(last)], metrics))

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the flat form of the whole configuration."""
        return dict(self.train.resolve(config).flat)

    def gpu_memory(self, config: Mapping[str, Any]) -> tuple[float, float]:
        """Return the MiB that a run needs, and those that are free."""
        keys = dict(config)
        return self.train.gpu_memory(keys, Path(keys.pop("data_root")))


def _past(folder: Path | None) -> list[Epoch]:
    if folder is None or not (folder / JOURNAL).exists():
        return []
    return [
        Epoch(epoch["epoch"], epoch["epochs"], {k: v for k, v in epoch.items() if isinstance(v, float | int)})
        for epoch in read_epochs(folder)
    ]


def _flat(epoch: Epoch) -> dict[str, Any]:
    bins = {f"{name}/{bin}": share for name, shares in epoch.histograms.items() for bin, share in enumerate(shares)}
    return {"epoch": epoch.number, "epochs": epoch.of, **epoch.metrics, **epoch.words, **bins}
