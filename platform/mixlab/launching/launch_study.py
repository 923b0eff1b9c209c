"""Runs the missing trials of a study, and writes its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mixlab.errors import BadInput, first_line, no_room, without_room
from mixlab.launching.one_driver import end_abandoned, only_driver, only_writer
from mixlab.launching.phase import ListedTrials
from mixlab.launching.plan import print_outlook
from mixlab.launching.result import Result
from mixlab.launching.run_phase import run_phase, write_out
from mixlab.launching.sequential import SequentialTrials
from mixlab.launching.start import Start
from mixlab.messages import counted, say
from mixlab.passwords import shown
from mixlab.spec.study import Study
from mixlab.spec.trial import Trial
from mixlab.tracking import store, stored_runs, views
from mixlab.tracking.looks import earlier_looks
from mixlab.tracking.tracker import Tracker
from mixlab.tracking.writer import is_outage
from mixlab.uris import typed


def launch_study(study: Study, trials: Sequence[Trial], start: Start) -> Result:
    """Train every trial that is not done, make the tables, and return the result.

    Raises:
        BadInput: another driver runs the study, or something that it needs is not there.
    """
    with only_driver(start), only_writer(start, study.identity):
        end_abandoned(start, study.identity)
        recorded = stored_runs.recorded(start.client, study.name)
        metric, done = study.metric or start.train.metric, stored_runs.finished(recorded)
        looks = earlier_looks(start.client, study, trials, metric, done)
        seeds = max(looks["seeds"], default=0)
        more, where = [], str(start.tables)
        if seeds >= len(study.seeds):
            more.append(f"{seeds} {'other ' if seeds == len(study.seeds) else ''}seeds")
            where += ", and in MLflow that of the same arms"  # other plans have runs of their own there
        if looks["comparisons"]:
            more.append(f"{counted(looks['comparisons'], 'comparison')} that this one lacks")
        if more:
            text = (
                f"Earlier tables of this study have {' and '.join(more)}. This one replaces any that are still in "
                f"{where}; the earlier study and command bring them back, and train nothing"
            )
            say(start.console, text, style="yellow")
        listed = SequentialTrials if study.sequential else ListedTrials
        saved = start.storage.newest()
        phase = listed(study, trials, start, recorded, saved, looks)
        found = run_phase(phase, start, outlook=partial(print_outlook, start=start, recorded=recorded))
        plan = phase.tracked.plan
        if found.early:
            return Result(found.code, plan=plan, failures=found.session.failures)
        result = Result(1, plan=plan)
        if not found.code or found.tracker.writer.refused:
            result = _report(study, plan, start, found.tracker)
        for name, error in found.session.failures.items():
            say(start.console, f"failed: {name}: {error}", style="red")
        code = 1 if found.code or found.session.failures else result.exit_code
        return replace(result, exit_code=code, failures=found.session.failures)


def _report(study: Study, plan: Mapping[str, Any], start: Start, tracker: Tracker) -> Result:
    """Write the tables, plots and page from MLflow's records; attach and name them.

    The exit code is 1 if MLflow lacks a part of them, or there is no table: nothing is finished, or MLflow went away.
    """
    options, console, out = start.options, start.console, start.tables
    try:
        made = start.report.report(options.tracking_uri, study.name, dict(plan), out)
    except Exception as error:
        if not isinstance(error, ValueError | OSError | BadInput) and not is_outage(error):
            raise
        why = without_room(str(out), error) if no_room(error) else first_line(error)
        say(console, f"no table: {why}", style="red")
        return Result(1, plan=plan)
    tracker.attach([*made.files, made.page])
    tracker.describe(*made.summary)
    for cell, (numbers, text) in made.arm_summaries.items():
        tracker.describe(numbers, text, cell)
    whole = write_out(tracker, f"the tables are in {out}", console)
    print(made.text)
    files = ", ".join(file.name for file in made.files)
    say(console, f"\nThe table and the figures are in {out}: {files}")
    say(console, f"One page about all of it: {made.page}")
    uri, served = shown(options.tracking_uri), store.by_server(start.client)
    server = uri if served else "http://127.0.0.1:5000"
    shows = typed("mlflow", "ui", "--backend-store-uri", options.tracking_uri)
    how = "open" if served else f"{shows}, then open"
    view = views.address(server, tracker.experiment_id, views.arms_key(study.identity))
    say(console, f"Every run in the MLflow UI: {how} {view}", whole=True)
    return Result(int(not whole), made.tables, made.verdicts, made.page, plan, made.files)
