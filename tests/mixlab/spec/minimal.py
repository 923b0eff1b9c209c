"""The least that a trainable can be, and a study of it."""

from typing import Any

from mixlab import Arm, Metric, Study
from mixlab.spec.complete import CompleteTrainable, complete


class Toy:
    """A trainable that takes any configuration."""

    metrics = (Metric("rmse", "kg", higher_is_better=False, rules=("last",)),)

    def __call__(self, settings, seed, report, *, resume_from=None, data_root="data") -> None:
        raise NotImplementedError


def with_attributes(processes: int = 1, **attributes: Any) -> CompleteTrainable:
    """Return a complete trainable with these attributes besides those that it must have."""
    train = Toy()
    vars(train).update(attributes)
    return complete(train, processes)


TRAIN = complete(Toy())
STUDY = Study(name="toy", base={"lr": 0.1}, arms=(Arm("a", {}), Arm("b", {"lr": 0.2})), seeds=range(2))
