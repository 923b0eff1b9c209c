"""The phases of a launch: a study has one, of listed trials; a search has two, the first of proposed trials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mixlab.cluster.source import End, Job, Source
from mixlab.errors import BadInput
from mixlab.launching.display import Progress, Shown
from mixlab.launching.session import Session
from mixlab.launching.start import Start
from mixlab.passwords import shown
from mixlab.spec.epoch import Epoch
from mixlab.spec.study import Study
from mixlab.spec.study_plan import study_plan
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Saved
from mixlab.tracking import names
from mixlab.tracking.stored_runs import StoredRun
from mixlab.tracking.trial_runs import Tracked, TrialRuns


@dataclass(frozen=True)
class Left:
    """A trial that is not done."""

    trial: Trial
    share: float = 1.0  # the share of its training that is left, from 0 to 1
    times: int = 1  # how often it is run, such as once per seed of a search


class Phase(Source, Progress, Protocol):
    """A source of trials, and the facts about them that are shown and recorded."""

    tracked: Tracked
    concerned: Sequence[Trial]  # all that may run, or some of each cell: their data, files and memory are looked at
    keeps_files: bool  # whether models go to MLflow
    record: str  # a clause that says where the records are that MLflow may lack

    def alone(self, work: Callable[[], object]) -> None:
        """Create MLflow's runs by ``work`` while other drivers are kept out; here there is no other."""
        work()

    def catch_up(self, session: Session) -> bool:
        """Bring MLflow up to date without running anything; return False if MLflow is away."""

    def after_end(self, runs: TrialRuns) -> None:
        """Act on the end of a trial; here there is nothing to do."""
        return

    def release(self) -> None:
        """Let other drivers continue the trials that this one has claimed; here there is none."""
        return

    def state(self, cell: str) -> State:
        """Return the state of a cell: done, failed, or interrupted."""

    def forgettable(self) -> set[str]:
        """Return the keys of the trials whose checkpoints are not needed any more."""


def states(trials: Sequence[Trial], recorded: Mapping[str, StoredRun], saved: Mapping[str, Saved]) -> dict[str, State]:
    """Return the state of each trial, by key, from MLflow's records and then from the journal, which completes them."""
    found: dict[str, State] = {}
    for trial in trials:
        run = recorded.get(trial.key)
        begun = State.INTERRUPTED if trial.key in saved or run is not None else State.PENDING
        found[trial.key] = run.state if run is not None and run.state.over else begun
    return found


def require_reported(what: str, metric: str, trial: Trial, epoch: Epoch) -> None:
    """Raise ``BadInput`` unless the metric is among those of an epoch."""
    if metric not in epoch.metrics:
        reports = ", ".join(sorted(epoch.metrics)) or "nothing"
        lacking = f"{what} {metric!r} was not reported by {trial.name}; it reports {reports}"
        raise BadInput(f"{lacking}: report it, and raise numbers of the trainable, so that every run begins again")


class ListedTrials(Phase):
    """The missing trials of a study, up to the budget of seeds if they are added until everything is decided."""

    keeps_files = True

    def __init__(
        self,
        study: Study,
        trials: Sequence[Trial],
        start: Start,
        recorded: Mapping[str, StoredRun],  # MLflow's records, by key
        saved: Mapping[str, Saved],  # the journal's checkpoints, by key
        looks: Mapping[str, Any] | None = None,  # looks at earlier tables; see ``mixlab.tracking.looks``
    ) -> None:
        self.rows = trials
        self.recorded = recorded
        self.saved = saved
        self.record = f"what it lacks is kept under {shown(start.options.storage)}"
        self.states = states(trials, recorded, saved)
        missing = [trial for trial in trials if self.states[trial.key] is not State.DONE]
        self.complete = [trial for trial in missing if trial.key in saved and saved[trial.key].complete]
        self.concerned = [trial for trial in missing if trial not in self.complete]
        self.states |= dict.fromkeys((trial.key for trial in missing), State.PENDING)  # what failed is tried again
        # Seed by seed: an arm that fails is seen early, and what an interrupted study has is pairs of every arm.
        place = {seed: number for number, seed in enumerate(study.seeds)}
        self._left = sorted(self.concerned, key=lambda trial: place[trial.seed])
        plan = study_plan(study, trials, start.options.preset, start.train, looks)
        cells = {trial.cell: trial.arm for trial in trials}
        self.tracked = Tracked(study.name, study.identity, plan, names.STUDY_LEVELS, cells)
        self.shown = Shown(start.train.find(plan["metric"]), plan["metric"])

    # Source

    def next(self, room: int) -> Job | None:
        if not self._left:
            return None
        trial = self._left.pop(0)
        self.states[trial.key] = State.RUNNING
        return Job(trial, self.saved.get(trial.key))

    def over(self) -> bool:
        return not self._left

    def reported(self, trial: Trial, epoch: Epoch, may_stop: bool = True) -> End | None:
        """See ``Source``: a listed trial runs to its end. By then the baseline must have the compared metric."""
        plan = self.tracked.plan
        if epoch.last and trial.arm == plan["baseline"]:
            require_reported("the metric", plan["metric"], trial, epoch)
        return None

    def ended(self, trial: Trial, end: End) -> None:
        self.states[trial.key] = end.state

    # Phase

    def done(self) -> Mapping[str, str]:
        done = (key for key, state in self.states.items() if state is State.DONE and key in self.recorded)
        return {key: self.shown.text(self.recorded[key].metrics) for key in done}

    def expected(self) -> float | None:
        return len(self.concerned) - sum(self.saved[t.key].share for t in self.concerned if t.key in self.saved)

    def counts(self) -> str:
        states = [self.states[trial.key] for trial in self.rows]
        failed = states.count(State.FAILED)
        return f"{states.count(State.DONE)}/{len(states)} done" + (f", {failed} failed" if failed else "")

    def catch_up(self, session: Session) -> bool:
        """See ``Phase``; end the trials that the journal completes."""
        for trial in self.complete:
            session.resumed(trial, self.saved[trial.key].epochs)
            self.ended(trial, End(State.DONE))
            session.ended(trial, End(State.DONE), self.saved[trial.key].path)
        self.complete = []
        return True

    def state(self, cell: str) -> State:
        found = {self.states[trial.key] for trial in self.rows if trial.cell == cell}
        if State.FAILED in found:
            return State.FAILED
        return State.DONE if found == {State.DONE} else State.INTERRUPTED

    def forgettable(self) -> set[str]:
        return {key for key, state in self.states.items() if state is State.DONE}
