"""The whole launch, with MLflow and the report but without Ray: however it ends, its runs say so, and so does it."""

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE
from mlflow.tracking import MlflowClient
from rich.console import Console

from analysis import report
from analysis.figures import plots
from mixlab import Arm, Options, Search, Study, main, run
from mixlab.cluster import schedule
from mixlab.cluster.resources import Share
from mixlab.cluster.source import End, Listener
from mixlab.errors import BadInput, HeadLost
from mixlab.launching import launch_search
from mixlab.launching.larger_table import TABLE_FILE, require_no_larger_table
from mixlab.launching.start import Start
from mixlab.provenance import Provenance
from mixlab.spec.state import State
from mixlab.spec.trial import Trial
from mixlab.storage.journal import Storage
from mixlab.tracking import names, store
from tests.mixlab.without_ray import Turn, in_this_process, raising
from tests.toy import SEARCH, STUDIES, Toy

STUDY = STUDIES["sequential"]().with_base(epochs=1)
TWO_ARMS = replace(STUDY, arms=STUDY.arms[:2])
SMALL = replace(TWO_ARMS, seeds=range(1))


def empty_page(uri: str, study: str, out: Path, *_: Any, **__: Any) -> list[Path]:
    """Write an empty page instead of the page of a study, which takes as long as its tables; one test writes that."""
    out.touch()
    return [out]


@pytest.fixture
def launch(tmp_path: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Return a function that launches a study or search, and returns its exit code and what it said."""
    monkeypatch.setattr(Start, "share_of", lambda *_: Share(cpus=1, gpus=0))
    monkeypatch.setattr(Start, "provenance", Provenance("0123456789abcdef", dirty=False, diff="", versions={}))

    def launched(spec: Study | Search, begins: Turn = lambda *_: None, **options: Any) -> tuple[int, str]:
        monkeypatch.setattr(schedule, "run", in_this_process(begins))
        monkeypatch.setattr(report, "write_report", empty_page)
        monkeypatch.setattr(plots, "plot_gains", lambda *_: None)
        said = io.StringIO()
        given = Options(**{"tracking_uri": tracking_uri, "storage": str(tmp_path / "results"), **options})
        result = run(spec, Toy(), given, console=Console(file=said, width=200))
        return result.exit_code, said.getvalue()

    return launched


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("a bug\nand more"), 1, "stopped by RuntimeError: a bug; finished epochs are kept"),
        (KeyError("x"), 1, "stopped by KeyError: 'x'"),
        (OSError(28, "No space left on device"), 1, "no room left in --storage"),
        (HeadLost("the head has died"), 1, "the head has died"),
        (KeyboardInterrupt(), 130, "Stopped; finished epochs are kept. To go on: "),
        (SystemExit(1), 130, "Stopped; finished epochs are kept. To go on: "),  # of rich, when nobody reads its output
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_ends_the_schedule_is_said_and_leaves_no_run_running(
    launch: Any, tracking_uri: str, error: BaseException, code: int, said: str
) -> None:
    found = launch(SMALL, raising(error, after=1))
    assert found[0] == code
    assert said in found[1]
    assert "Traceback" not in found[1]
    client = MlflowClient(tracking_uri)
    (experiment,) = (each.experiment_id for each in client.search_experiments() if each.name == STUDY.name)
    levels: dict[str, list[str]] = {}
    for each in client.search_runs([experiment]):
        levels.setdefault(each.data.tags["mixlab.level"], []).append(each.info.status)
    assert {level: sorted(statuses) for level, statuses in levels.items()} == {
        "study": ["KILLED"],
        "arm": ["FINISHED", "KILLED"],
        "seed": ["FINISHED", "KILLED"],
    }


@pytest.mark.parametrize("file", ["mixlab.log", ".lock"])
def test_a_folder_of_results_that_is_another_users_is_a_sentence(launch: Any, tmp_path: Path, file: str) -> None:
    """Root may write everywhere, but to no folder as to a file."""
    folder = tmp_path / "results" / STUDY.name
    (folder / file).mkdir(parents=True)
    with pytest.raises(BadInput, match=f"^'{folder}', where tables and logs go, cannot be written \\(.*{file}"):
        launch(SMALL)


def test_a_write_that_mlflow_refuses_is_exit_1_and_the_table_is_made_all_the_same(
    launch: Any, tracking_uri: str
) -> None:
    def delete_the_run(listener: Any, trial: Trial, number: int) -> None:
        if number == 1:
            assert listener.runs.writer.drain(20)
            MlflowClient(tracking_uri).delete_run(listener.runs.run_ids[trial.key])

    code, said = launch(SMALL, delete_the_run)
    assert code == 1
    assert "MLflow refused a write: " in said
    assert "Table and plots, in " in said


def test_a_table_that_mlflow_lacks_is_exit_1_and_is_made_all_the_same(
    launch: Any, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, make = MlflowClient(tracking_uri), report.report

    def and_delete_the_study_s_run(uri: str, name: str, *rest: Any) -> report.StudyReport:
        made = make(uri, name, *rest)
        experiment = store.experiment_id(client, name)
        (run,) = store.search_runs(client, experiment, {names.LEVEL: names.STUDY_LEVELS[0]})
        client.delete_run(run.run_id)
        return made

    monkeypatch.setattr(report, "report", and_delete_the_study_s_run)
    code, said = launch(SMALL)
    assert code == 1
    assert "MLflow refused a write: " in said
    assert "Table and plots, in " in said


def test_a_store_that_is_gone_when_the_table_is_made_is_exit_1_in_one_sentence(
    launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise BadInput("no MLflow store answers at --tracking-uri 'http://127.0.0.1:1'")

    monkeypatch.setattr(report, "report", away)
    code, said = launch(SMALL)
    assert code == 1
    assert "no table: no MLflow store answers" in said


def test_checkpoints_that_cannot_be_deleted_keep_nobody_from_the_table(
    launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Storage, "forget", read_only)
    code, said = launch(SMALL)
    assert code == 0
    assert "checkpoints that are needed no more cannot be deleted ([Errno 13] Permission denied)" in said
    assert list((tmp_path / "results").rglob("table.md"))


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("asked", ["study", "seed"])
def test_a_store_that_refuses_to_show_its_runs_is_a_sentence(
    launch: Any, monkeypatch: pytest.MonkeyPatch, asked: str, dry_run: bool
) -> None:
    """It has answered before, as a server does whose database is away."""
    launch(SMALL)
    read = store.runs_in_database

    def broken(client: Any, experiment: str, tags: Any, **options: Any) -> Any:
        if tags.get(names.LEVEL) == asked:
            raise MlflowException("it is broken", error_code=INVALID_STATE)
        return read(client, experiment, tags, **options)

    monkeypatch.setattr(store, "runs_in_database", broken)
    with pytest.raises(BadInput, match=r"MLflow at 'sqlite:.*' cannot be read: it is broken"):
        launch(SMALL, dry_run=dry_run)


def test_a_search_of_which_a_quarter_failed_is_exit_1(launch: Any) -> None:
    def fail(_: Listener, trial: Trial, number: int) -> End | None:
        return End(State.FAILED, error="RuntimeError: CUDA error") if number == 0 else None

    short = replace(SEARCH.study.with_base(epochs=1), seeds=range(1))
    search = replace(SEARCH, study=short, budget=4, scheduler="none", sampler="random")
    code, said = launch(search, fail)
    assert code == 1, said
    assert "1 of the search's 4 trials failed, of which a quarter is too many" in said


def test_an_objective_that_is_never_reported_is_one_sentence(launch: Any) -> None:
    with pytest.raises(BadInput, match=r"^[^\n]*'val_top5'[^\n]*it reports [^\n]*val_top1[^\n]*$"):
        launch(STUDIES["search for nothing"](), concurrent=1)


def test_a_terminal_of_ascii_gets_the_whole_table_and_the_files_have_every_letter(
    launch: Any, tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = replace(STUDY, arms=(STUDY.arms[0], replace(STUDY.arms[1], name="Größe λ ≤ ½")))
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(schedule, "run", in_this_process())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(study, Toy(), ["--tracking-uri", tracking_uri])
    assert ended.value.code == 0
    said = screen.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "[4/4 done" in said
    assert [line for line in said.splitlines() if line.startswith("Gr??e ? ? ?") and "+2.00" in line]  # of the table
    for name in ("table.md", "table.csv", "table.html", "report.html"):
        assert "Größe λ ≤ ½" in (tmp_path / "results" / "toy" / "paper" / name).read_text(encoding="utf-8")


def test_a_driver_whose_turn_it_is_not_says_once_why_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, False, False, True]
    history: Any = SimpleNamespace(begin_confirmation=lambda: answers.pop(0))
    monkeypatch.setattr(launch_search.time, "sleep", lambda seconds: None)
    console = Console(file=io.StringIO(), width=200)
    launch_search._wait_for_turn(history, console)
    assert not answers
    assert console.file.getvalue() == (  # type: ignore[attr-defined]
        "Another driver of this search trains the winners; waiting for it to end ...\n"
    )


def test_a_table_is_not_replaced_by_one_of_fewer_seeds(launch: Any, tmp_path: Path) -> None:
    table = tmp_path / "results" / "toy" / "paper" / "table.csv"
    assert launch(TWO_ARMS, raising(KeyboardInterrupt(), after=1), seeds=3)[0] == 130
    assert launch(TWO_ARMS, seeds=2)[0] == 0  # of the larger one no seed was finished in every arm
    larger = table.read_text()
    for options in ({"seeds": 1}, {"seeds": 1, "dry_run": True}):
        with pytest.raises(BadInput) as refused:
            launch(TWO_ARMS, **options)
        assert str(refused.value) == (
            "every arm of 'toy' has finished 2 seeds, and a table of 1 would replace theirs: "
            "give --seeds 2, or another --tracking-uri and --storage"
        )
    assert table.read_text() == larger
    assert launch(TWO_ARMS, seeds=3)[0] == 0


def test_a_table_names_the_earlier_ones_with_fewer_seeds(launch: Any, tmp_path: Path) -> None:
    table = tmp_path / "results" / "toy" / "paper" / "table.md"
    for seeds in (2, 6):  # nothing can be claimed with two
        assert launch(TWO_ARMS, seeds=seeds)[0] == 0
        assert "Looked at before" not in table.read_text()
    for _ in range(2):
        assert launch(TWO_ARMS, seeds=7)[0] == 0
        rule = "Looked at before: a table of 6 seeds. p holds only if the present number of seeds had been chosen by"
        assert rule in table.read_text()
    assert launch(TWO_ARMS, seeds=8)[0] == 0
    assert "Looked at before: a table of 6 seeds, a table of 7 seeds. p holds" in table.read_text()
    assert launch(TWO_ARMS, seeds=6, epochs=2)[0] == 0  # other trials
    assert "Looked at before" not in table.read_text()


def test_seeds_that_were_added_until_decided_are_no_fixed_number(launch: Any, tmp_path: Path) -> None:
    table = tmp_path / "results" / "toy" / "paper" / "table.md"
    assert launch(TWO_ARMS, until="decided", seeds=4)[0] == 0
    assert launch(TWO_ARMS, until="decided", seeds=5)[0] == 0
    assert "Looked at before" not in table.read_text()  # e may be looked at
    assert launch(TWO_ARMS, seeds=6)[0] == 0
    rule = "Looked at before: seeds that were added until every comparison was decided. p holds only if"
    assert rule in table.read_text()
    assert launch(TWO_ARMS, seeds=7)[0] == 0
    assert "Looked at before: a table of 6 seeds, seeds that were added" in table.read_text()


def test_a_table_counts_the_comparisons_of_larger_ones(launch: Any, tmp_path: Path) -> None:
    """The best of many arms, taken alone, would have a smaller p than among them."""
    larger = replace(TWO_ARMS, arms=(*TWO_ARMS.arms, Arm("c", {"lr": 0.3}), Arm("d", {"lr": 0.4})))
    table = Path("toy", "paper", "table.md")
    said = "Other tables of the study made"
    assert launch(larger, seeds=6)[0] == 0
    assert said not in (tmp_path / "results" / table).read_text()
    first_two = {"seeds": 6, "storage": str(tmp_path / "part")}
    assert launch(TWO_ARMS, **first_two)[0] == 0
    rule = f"{said} 2 more comparisons with these runs, for which p (family) is not corrected."
    assert rule in (tmp_path / "part" / table).read_text()
    assert launch(TWO_ARMS, until="decided", **first_two)[0] == 0
    rule = f"{said} 2 more comparisons with these runs, for which e (family) is not corrected."
    assert rule in (tmp_path / "part" / table).read_text()
    assert launch(larger, seeds=6)[0] == 0
    assert said not in (tmp_path / "results" / table).read_text()


def test_a_start_that_made_no_table_was_not_looked_at(launch: Any, tmp_path: Path) -> None:
    stopped: Turn = raising(KeyboardInterrupt(), after=1)
    assert launch(TWO_ARMS, stopped, seeds=6)[0] == 130
    assert launch(TWO_ARMS, seeds=7)[0] == 0
    assert "Looked at before" not in (tmp_path / "results" / "toy" / "paper" / "table.md").read_text()


def test_a_table_is_not_replaced_by_one_of_a_part_of_it(
    launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = replace(STUDY, factors={"peak": (0.2, 0.8)})
    folder = tmp_path / "results" / "toy" / "paper"
    assert launch(study)[0] == 0
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    for options in (
        {"arms": ["clear"]},
        {"arms": ["unsure"], "seeds": 1, "dry_run": True},
        {"arms": ["clear"], "tracking_uri": "sqlite:///other.db"},
    ):
        with pytest.raises(BadInput, match=f"^'{folder}' has a table of 12 trials, and one of .* would replace it"):
            launch(study, **options)
    part = study.with_levels("peak", ["0.2"])
    with pytest.raises(BadInput, match=r"and one of 6 of them .*, without '0\.8 · plain · seed 0'.* another --storage"):
        launch(part)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
    folder.rename(tmp_path / "away")
    assert launch(part)[0] == 0
    assert launch(study)[0] == 0  # a larger one


@pytest.mark.parametrize(
    "note", ["[]", "5", '"text"', "{}", '{"asked": [], "done": []}', '{"asked": {}, "done": 5}', '{"done": ["a"]}']
)
def test_a_note_that_is_none_of_a_table_is_passed_over(note: str, tmp_path: Path) -> None:
    """One that a full disk has cut short was; another ended the start in a traceback."""
    (tmp_path / "toy" / "paper").mkdir(parents=True)
    (tmp_path / "toy" / "paper" / TABLE_FILE).write_text(note)
    require_no_larger_table(SMALL, [], Options(storage=str(tmp_path), tracking_uri=f"sqlite:///{tmp_path}/none.db"))


def test_a_plan_that_has_another_form_is_passed_over(launch: Any, tracking_uri: str, tmp_path: Path) -> None:
    assert launch(SMALL)[0] == 0
    (file,) = (tmp_path / "mlruns").rglob("plan.json")
    for plan in (
        "[]",
        '{"trials": 5}',
        '{"trials": [{"key": "a"}]}',
        file.read_text().replace('"seed": 0', '"seed": "0"'),
    ):
        file.write_text(plan)
        assert launch(SMALL, dry_run=True)[0] == 0
    assert launch(SMALL)[0] == 0


def test_a_table_is_not_replaced_by_one_of_an_arm_that_failed_in_it(launch: Any) -> None:
    def fail(_: Listener, trial: Trial, number: int) -> End | None:
        return End(State.FAILED, error="ValueError: no") if trial.arm == "unsure" else None

    assert launch(STUDY, fail)[0] == 1
    with pytest.raises(BadInput, match=r"has a table of 4 trials, and .* without 'clear · seed 0'"):
        launch(STUDY, arms=["unsure"])
    assert launch(STUDY, arms=["clear"])[0] == 0  # nothing else was finished


def test_a_table_of_seeds_until_decided_is_not_replaced_by_one_of_fewer_arms(launch: Any) -> None:
    until = {"until": "decided", "seeds": 4}
    assert launch(STUDY, **until)[0] == 0
    with pytest.raises(BadInput, match="without 'unsure · seed 0'"):
        launch(STUDY, arms=["clear"], **until)
    assert launch(STUDY, arms=["clear"], epochs=2, **until)[0] == 0  # other trials


def test_a_table_of_seeds_until_decided_is_followed_by_one_of_as_many(launch: Any, tmp_path: Path) -> None:
    """The arms have different numbers of seeds, and a table of the smallest would be refused as well."""
    assert launch(STUDY, until="decided", seeds=14)[0] == 0
    most = max(pd.read_csv(tmp_path / "results" / "toy" / "paper" / "table.csv")["n"])
    with pytest.raises(BadInput, match=f"^some arm of 'toy' has finished {most} seeds, .*: give --seeds {most}, or"):
        launch(STUDY, seeds=5)
    assert launch(STUDY, seeds=most)[0] == 0


def test_a_search_does_not_replace_a_table_of_more_seeds(launch: Any) -> None:
    search = replace(SEARCH, study=SEARCH.study.with_base(epochs=1), budget=2, scheduler="none", sampler="random")
    assert launch(search)[0] == 0
    with pytest.raises(BadInput, match="every arm of 'toy' has finished 2 seeds, and a table of 1 would"):
        launch(search, seeds=1, trials=4)
    with pytest.raises(BadInput, match=r"has a table of 4 trials, and one of 2 .* without 'high · seed 0'"):
        launch(search, arms=["low"])


def test_a_dry_run_sees_what_is_done_in_a_database_with_a_query_string(launch: Any, tracking_uri: str) -> None:
    uri = f"{tracking_uri}?timeout=60"
    assert launch(SMALL, tracking_uri=uri)[0] == 0
    code, said = launch(SMALL, tracking_uri=uri, dry_run=True)
    assert code == 0
    assert "2 trials: 2 done" in said
