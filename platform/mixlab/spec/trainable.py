"""The trainable that a study trains: the contract with the platform.

Only ``__call__`` and ``metrics`` are required. A trainable of a few lines::

    class Line:
        metrics = (Metric("rmse", "kg", higher_is_better=False, rules=("last", "best")),)

        def __call__(self, settings, seed, report, *, resume_from=None, data_root=Path("data")):
            for number in range(1, 4):
                ...
                report(Epoch(number, 3, {"rmse": rmse}), lambda folder: (folder / "weights").write_bytes(...))
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

Config = Mapping[str, Any]
PRESETS: Mapping[str, Config] = {"paper": {}, "quick": {}, "smoke": {}}

Save = Callable[[Path], None]
Report = Callable[[Any, Save], None]


class Trainable(Protocol):
    """An object that a study trains, such as ``trainables.classify.train``.

    Besides ``metrics`` it may have any of these; ``complete`` supplies the missing ones:

        metric: the metric that a study compares by default; the first metric by its first rule.
        presets: by name, the configuration keys that the preset sets, and ``seeds``.
        neutral: by key, the value of an option that leaves every number as it was before the option existed. At that
            value a key is left out of a trial's hash, so that adding an option changes no trial's key.
        numbers: the version of the numbers, 1 at first, or a function that returns that of a configuration; it rises
            when the same configuration gives other numbers.
        files: keys with values that are paths of files, or None.
        prepared: keys that decide what ``prepare`` must prepare.
        timed: keys that decide how long a run takes; all of them by default.
        held_out: keys that a search's own runs change, so that they are judged on data that the table never sees.
        parallel: True if ``__call__`` and ``check`` also take ``processes``, the number of processes, with a GPU each,
            that train a run together. Without it, a trial has one GPU at most.
        final: exceptions that the same configuration and seed would raise again; they are not tried again.
        resolve(config): every key, with its default where it was not given: a dictionary, or an object that has it as
            ``flat``, and as ``settings`` the form that the trainable takes, parsed once; ``ValueError``, one sentence,
            for what cannot be run.
        check(settings): ``ValueError`` for what cannot be run, if that takes seconds to find; it is not asked of a run
            that is done.
        check_metric(settings, metric): ``ValueError`` for a metric, by its name or that of one of its rules, that a run
            does not report; it is asked of the metric that a study compares.
        objectives(config): names of the metrics that a search may optimise.
        prepare(settings, data_root): fetch to this machine what a run reads.
        lacking(settings, data_root): sentences on what a run reads that is not there; nothing is fetched.
        estimate_seconds(settings, data_root): roughly how long a run takes on this machine.
        gpu_memory(settings, data_root): MiB that a run needs on this machine's GPU, and MiB that are free there;
            ``ValueError`` if no run fits.
    """

    @property
    def metrics(self) -> Sequence[Any]:
        """Return the metrics that it reports, objects with the fields of ``Metric``: it need not import mixlab."""

    def __call__(
        self, settings: Any, seed: int, report: Report, *, resume_from: Path | None = None, data_root: Path = ...
    ) -> Any:
        """Train once, and call ``report(epoch, save)`` after every epoch.

        Args:
            settings: the settings that ``resolve`` returned.
            seed: the seed of everything random.
            report: takes an ``Epoch``, and a function that writes a checkpoint into a folder.
            resume_from: a folder that such a function wrote; training goes on after its epoch.
            data_root: the folder of the data sets.
        """
