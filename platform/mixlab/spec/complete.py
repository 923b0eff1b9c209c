"""The adapter that supplies the parts that a trainable leaves out, and resolves and checks a configuration once."""

import hashlib
import inspect
import json
import math
import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.errors import BadInput, first_line, refused, require, require_known
from mixlab.spec import user_input
from mixlab.spec.metric import Metric, checked, find
from mixlab.spec.trainable import PRESETS, Config, Report
from mixlab.spec.trial import Trial

# The types of what a trainable may declare.
DECLARED: Mapping[str, Any] = {
    **dict.fromkeys(("presets", "neutral", "held_out"), Mapping),
    **dict.fromkeys(("files", "prepared", "timed"), Sequence[str]),
    "metric": str,
    "parallel": bool,
}


@dataclass
class Configuration:
    """A configuration in its two forms."""

    flat: dict[str, Any]
    settings: Any
    checked: bool = False  # by the trainable's ``check``


class CompleteTrainable:
    """A trainable with everything that the platform may ask for."""

    def __init__(self, train: Any, processes: int = 1) -> None:
        if not callable(train) or isinstance(train, type):
            hint = ", a class: give an object of it" if isinstance(train, type) else ""
            raise BadInput(f"a trainable must be a callable object, got {train!r}{hint}")
        try:
            inspect.signature(train).bind({}, 0, print, resume_from=None, data_root=Path())
        except TypeError as error:
            call = "train(settings, seed, report, resume_from=None, data_root=Path())"
            raise BadInput(f"a trainable is called as {call}, which {train!r} does not take: {error}") from None
        self.train = train
        for name, hint in DECLARED.items():
            if hasattr(train, name):
                user_input.require_type(f"{name} of a trainable", self._given(name, None), hint)
        self.metrics = checked(self._given("metrics", ()))
        keys: list[tuple[str, ...]] = [tuple(self._given(name, ())) for name in ("files", "prepared", "timed")]
        self.files, self.prepared, self.timed = keys
        self.held_out: Config = self._given("held_out", {})
        self.parallel: bool = self._given("parallel", False)
        if processes > 1 and not self.parallel:
            raise BadInput(f"--gpus-per-trial must be at most 1 for what trains in one process, got {processes}")
        self.processes = processes
        final = all(isinstance(kind, type) and issubclass(kind, Exception) for kind in self.final)
        require(final, "final of a trainable", "a tuple of exceptions", self.final)
        if self.metrics:
            require_known("metric of the trainable", self.metric, [n for metric in self.metrics for n in metric.names])
        self._resolved: dict[str, Configuration] = {}
        self._read_files: dict[str, bytes] = {}  # by path

    def _given(self, name: str, default: Any) -> Any:
        return user_input.plain(getattr(self.train, name, default))

    def _ask(self, name: str, *given: Any, **named: Any) -> Any:
        """Return what a function of the trainable answers; ``BadInput`` where it raises an exception."""
        with refused(f"{name} of the trainable fails for {reprlib.repr(given[0])}"):
            return user_input.plain(getattr(self.train, name)(*given, **named))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_resolved": {}, "_read_files": {}}

    @property
    def presets(self) -> Mapping[str, Config]:
        """Return what each preset sets, by its name."""
        return {**PRESETS, **getattr(self.train, "presets", {})}

    @property
    def neutral(self) -> Config:
        """Return the value of each later option that leaves every number as it was; some trainables look it up."""
        neutral: Config = getattr(self.train, "neutral", {})
        return neutral

    @property
    def final(self) -> tuple[type[Exception], ...]:
        """Return the exceptions that the same configuration and seed would raise again."""
        given = self._given("final", (ValueError,))
        return tuple(given) if isinstance(given, Iterable) else (given,)

    @property
    def metric(self) -> str:
        """Return the name of the metric that a study compares by default: the first with a rule, by that rule."""
        named: str = self._given("metric", "")
        with_rule = (f"{metric.name}_{metric.rules[0]}" for metric in self.metrics if metric.rules)
        return named or next(with_rule, self.metrics[0].name if self.metrics else "")

    def find(self, name: str) -> Metric | None:
        """Return the metric with the name ``name``, its own or that of one of its rules."""
        return find(self.metrics, name)

    def resolve(self, config: Config) -> Configuration:
        """Return the whole configuration, resolved and checked once; ``BadInput`` if the trainable refuses it."""
        found = self.read(config)
        if not found.checked and hasattr(self.train, "check"):
            self._ask("check", found.settings, **self._together(self.processes))
        found.checked = True
        return found

    def check_metric(self, settings: Any, metric: str) -> None:
        """Raise ``BadInput`` if the trainable says that a run does not report the metric."""
        if hasattr(self.train, "check_metric"):
            self._ask("check_metric", settings, metric)

    def read(self, config: Config) -> Configuration:
        """Return what ``resolve`` does, without the check that takes long: it has been made, or the runs are done."""
        key = json.dumps(dict(config), sort_keys=True)
        if key not in self._resolved:
            found = self._ask("resolve", config) if hasattr(self.train, "resolve") else dict(config)
            if not isinstance(found, Mapping) and not hasattr(found, "settings"):
                raise BadInput(f"resolve of a trainable must return a mapping, or flat and settings, got {found!r}")
            flat, settings = (found, found) if isinstance(found, Mapping) else (found.flat, found.settings)
            flat = user_input.configuration(flat, "the resolved configuration")
            self._resolved[key] = Configuration(flat, dict(flat) if settings is found else settings)
        return self._resolved[key]

    def hashed(self, flat: Config) -> dict[str, Any]:
        """Return the part of a resolved configuration that determines the numbers of a run, for a trial's key.

        Options at their neutral value are left out, files are represented by their content, and the version of the
        numbers is included once it is above 1.
        """
        found = {
            key: value for key, value in flat.items() if key not in self.neutral or value != self.neutral[key]
        } | self.contents(flat)
        version = self._version(flat)
        return found if version == 1 else {**found, "numbers": version}

    def _version(self, flat: Config) -> int:
        numbers = self._given("numbers", 1)
        found: int = self._ask("numbers", flat) if callable(numbers) else numbers
        user_input.require_count("numbers of a trainable", found)
        return found

    def contents(self, flat: Config) -> dict[str, str]:
        """Return the SHA-256 of each file that a configuration names, by key; ``BadInput`` if one cannot be read."""
        named = {key: str(flat[key]) for key in self.files if flat.get(key) is not None}
        found = {}
        for key, path in named.items():
            if not os.path.isfile(path):
                raise BadInput(f"{key} must be a file, but there is none at {path!r}")
            try:
                found[key] = "sha256:" + hashlib.sha256(self.content(path)).hexdigest()
            except OSError as error:
                raise BadInput(f"{key} {path!r} cannot be read ({first_line(error)}): give a file that can") from error
        return found

    def content(self, path: str) -> bytes:
        """Return the content of a file when it was first read here: a trial reads what its key describes."""
        if path not in self._read_files:
            self._read_files[path] = Path(path).read_bytes()
        return self._read_files[path]

    def objectives(self, config: Config) -> list[str]:
        """Return the names of the metrics that a search may optimise; raise ``BadInput`` if there are none."""
        if hasattr(self.train, "objectives"):
            found = self._ask("objectives", config)
            user_input.require_sequence("objectives of a trainable", found, "('val_loss',)")
            return list(found)
        return [metric.name for metric in self.metrics]

    def prepare(self, settings: Any, data_root: Path) -> None:
        """Fetch to this machine what a run reads; raise an exception with one sentence if that fails."""
        if hasattr(self.train, "prepare"):
            self.train.prepare(settings, data_root)

    def lacking(self, settings: Any, data_root: Path) -> list[str] | None:
        """Return a sentence for each part of the data that is not there; None if the trainable does not say."""
        if not hasattr(self.train, "lacking"):
            return None
        found = self._ask("lacking", settings, data_root)
        require(user_input.is_a(Sequence, found), "what lacking of a trainable returns", "a list of sentences", found)
        return list(found)

    def to_prepare(self, trials: Iterable[Trial]) -> list[Any]:
        """Return the settings of one trial for each group that needs the same prepared."""
        return list({tuple(str(t.config.get(key)) for key in self.prepared): t.settings for t in trials}.values())

    def estimate_seconds(self, settings: Any, data_root: Path) -> float | None:
        """Return roughly how long a run takes on this machine; None without an estimate that makes sense."""
        if not hasattr(self.train, "estimate_seconds"):
            return None
        found = self.train.estimate_seconds(settings, data_root)
        return float(found) if found is not None and 0 <= found < math.inf else None

    def gpu_memory(self, settings: Any, data_root: Path) -> tuple[float, float]:
        """Return the MiB that a run needs on this machine's GPU, and those that are free there.

        Raises:
            ValueError: no run fits, or the trainable cannot say, or says what is no memory.
        """
        if not hasattr(self.train, "gpu_memory"):
            raise ValueError("this trainable does not measure what memory it needs: give a number of GPUs")
        found = self.train.gpu_memory(settings, data_root)
        needed, free = map(float, found)
        if not (0 < needed < math.inf and 0 <= free < math.inf):
            raise ValueError(f"gpu_memory of a trainable must return MiB above 0, and the free MiB, got {found!r}")
        return needed, free

    def __call__(
        self, settings: Any, seed: int, report: Report, resume_from: Path | None, data_root: Path, processes: int = 1
    ) -> None:
        """Train once, by so many processes; see ``Trainable``."""
        together = self._together(processes)
        self.train(settings, seed, report, resume_from=resume_from, data_root=data_root, **together)

    def _together(self, processes: int) -> dict[str, int]:
        """Return the argument that tells a parallel trainable its number of processes."""
        return {"processes": processes} if self.parallel else {}


def complete(train: Any, processes: int = 1) -> CompleteTrainable:
    """Return ``train`` with defaults for everything that it leaves out; so many processes will train a run together."""
    return train if isinstance(train, CompleteTrainable) else CompleteTrainable(train, processes)
