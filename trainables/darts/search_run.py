"""One run: a search, with half of the images for weights and half for architecture, then the training of the result.

Every random number comes from a generator derived from (seed, purpose, epoch), so a run that is interrupted and resumed
after its last finished epoch ends with the same numbers.
"""

import json
import math
import time
from pathlib import Path
from typing import Any

import torch

from trainables.darts.genotype import Genotype
from trainables.darts.retraining import Retraining
from trainables.darts.search_config import SearchConfig, check_second_head
from trainables.darts.search_phase import SearchPhase
from trainables.datasets.dataset import Splits
from trainables.datasets.opening import open_splits
from trainables.device.hardware import environment, set_up
from trainables.epoch import Epoch, require_finite
from trainables.seeds import derive_seed
from trainables.training import model_state


class SearchRun:
    """The state of one run, which a checkpoint holds and an epoch changes."""

    def __init__(
        self, settings: SearchConfig, seed: int, searched: Splits | None, retrained: Splits, device: torch.device
    ) -> None:
        """Prepare the run: a search on ``searched``, None if the genotype is known, then training on ``retrained``."""
        self.settings, self.seed, self.device = settings, seed, device
        set_up(deterministic=False)
        self.images = open_splits(settings.retrained, retrained, device)
        check_second_head(settings, len(self.images.train))
        self.search = None if searched is None else SearchPhase(settings, seed, searched, device)
        self.search_epochs = 0 if searched is None else settings.search_epochs
        self.epochs = self.search_epochs + settings.epochs  # in both phases
        # Arms are compared on the images of the retraining. A search on the same images says which part it saw.
        fingerprint = self.images.fingerprint
        if self.search is not None and settings.retrain.dataset is None:
            fingerprint = self.search.fingerprint
        self.words = {"data": fingerprint, **environment(device)}
        self.history: list[Epoch] = []
        self.genotype = settings.known_genotype  # None until the search is over
        self.retraining: Retraining | None = None
        if self.genotype is not None:
            self._retrain(self.genotype)

    @property
    def finished(self) -> bool:
        """Return whether every epoch is done."""
        return len(self.history) == self.epochs

    def next_epoch(self) -> None:
        """Search or train one more epoch, and add it to the history."""
        number, start = len(self.history) + 1, time.perf_counter()
        torch.manual_seed(derive_seed(self.seed, "network", number))  # drop-path
        if self.search is not None and number <= self.search_epochs:
            metrics = self.search.epoch(number)
        else:
            assert self.retraining is not None  # it was built after the search
            metrics = self.retraining.epoch(number, number - self.search_epochs - 1)
        require_finite(metrics["train_loss"], number)
        metrics["train_seconds"] = time.perf_counter() - start
        if self.search is not None and number == self.search_epochs:
            self._retrain(self.search.supernet.genotype())
        if number == self.epochs:
            metrics |= self._whole_run(metrics["train_seconds"])
        self.history.append(Epoch(number, self.epochs, metrics, self.words, {}))

    @property
    def phases(self) -> dict[str, dict[str, Any]]:
        """Return the objects whose state a checkpoint holds, by phase, of the phases so far."""
        phases = {"search": self.search, "retraining": self.retraining}
        return {name: phase.parts for name, phase in phases.items() if phase is not None}

    def _retrain(self, genotype: Genotype) -> None:
        """Start the second phase: the network of the genotype, drawn from the seed."""
        self.genotype = genotype
        self.retraining = Retraining(self.settings, self.seed, genotype, self.images, self.device)

    def _whole_run(self, last: float) -> dict[str, float]:
        assert self.retraining is not None  # both phases are over
        times = [*(epoch.metrics["train_seconds"] for epoch in self.history), last]
        whole = {"train_seconds_total": math.fsum(times[self.search_epochs :]), **self.retraining.sizes()}
        return whole if self.search is None else {"search_seconds": math.fsum(times[: self.search_epochs]), **whole}

    def save(self, folder: Path) -> None:
        """Write ``training.pt``, ``genotype.json`` once it is known, and ``model.pt`` after the last epoch."""
        state = {
            "history": [tuple(epoch) for epoch in self.history],
            "genotype": None if self.genotype is None else self.genotype._asdict(),
            **{name: {part: each.state_dict() for part, each in parts.items()} for name, parts in self.phases.items()},
        }
        torch.save(state, folder / "training.pt")
        if self.genotype is not None:
            (folder / "genotype.json").write_text(json.dumps(self.genotype._asdict()), encoding="utf-8")
        if self.finished and self.retraining is not None:
            torch.save(model_state(self.retraining.network), folder / "model.pt")

    def restore(self, folder: Path) -> None:
        """Go back to the state that ``save`` wrote."""
        state = torch.load(folder / "training.pt", map_location=self.device, weights_only=True)
        self.history = [Epoch(*epoch) for epoch in state["history"]]
        if state["genotype"] is not None:
            self._retrain(Genotype.of(state["genotype"]))
        for name, parts in self.phases.items():
            for part, each in parts.items():
                each.load_state_dict(state[name][part])
