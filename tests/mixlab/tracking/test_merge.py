"""Two stores are merged: every run exists once, with its history, its artifacts and its place in the tree."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from mixlab.spec.study_plan import study_plan
from mixlab.spec.trial import State
from mixlab.tracking import artifacts, names, views
from mixlab.tracking.merge import main, merge
from mixlab.tracking.stored_runs import StoredRun, search_runs
from tests.toy import STUDIES, Toy

TRAIN = complete(Toy())
HISTORY = [Metric("test_top1", 10.0 * step, 1000 + step, step) for step in (1, 2)]


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def merged(folder: Path, into: Path) -> int:
    """Run the command on the databases in two folders, and return its exit code."""
    return main([f"{folder}/mlflow.db", "--tracking-uri", f"sqlite:///{into}/mlflow.db"])


def write(folder: Path, seeds: dict[int, str]) -> MlflowClient:
    """Write a study of one arm, with a run of the given status for each seed."""
    client = client_of(folder)
    experiment = client.create_experiment("toy", artifact_location=(folder / "mlruns" / "toy").as_uri())
    root = client.create_run(experiment, tags={names.LEVEL: "study", names.PLAN: "p"}).info.run_id
    client.log_dict(root, {"study": "toy", "metrics": [{"name": "test_top1"}]}, names.PLAN_FILE)
    tags = {names.LEVEL: "arm", names.PLAN: "p", names.CELL: "plain", names.PARENT: root}
    arm = client.create_run(experiment, tags=tags).info.run_id
    for seed, status in seeds.items():
        tags = {names.LEVEL: "seed", names.KEY: f"key-{seed}", names.SEED: str(seed), names.PARENT: arm}
        run = client.create_run(experiment, tags=tags).info.run_id
        client.log_param(run, "lr", 0.1)
        client.log_batch(run, HISTORY[: 2 if status == "FINISHED" else 1])
        not_compared = "train_seconds" if status == "FINISHED" else "test_top1_best"
        client.log_metric(run, not_compared, float(folder.name == "away"))
        client.log_text(run, f"weights of {folder.name}", "model.pt")
        client.set_terminated(run, status)
    for run in (arm, root):
        client.set_terminated(run, "FINISHED")
    return client


def toy_runs(client: MlflowClient, tags: dict[str, str]) -> list[StoredRun]:
    return search_runs(client, client.get_experiment_by_name("toy").experiment_id, tags)


def seeds_of(client: MlflowClient) -> dict[str, tuple[str, str]]:
    """Return status and weights of every seed; check that its whole way up the tree exists."""
    found = {}
    for run in toy_runs(client, {names.LEVEL: "seed"}):
        arm = client.get_run(run.tags[names.PARENT])
        assert arm.data.tags[names.LEVEL] == "arm"
        root = client.get_run(arm.data.tags[names.PARENT])
        assert root.data.tags[names.LEVEL] == "study"
        assert arm.info.lifecycle_stage == root.info.lifecycle_stage == "active"
        assert run.tags[names.SEED] not in found
        weights = artifacts.read(client, run.run_id, "model.pt") or b""
        found[run.tags[names.SEED]] = (names.STATUS[run.state], weights.decode())
    return found


@pytest.fixture
def here(tmp_path, new_store) -> Path:
    """Return a folder with an empty store; ``away`` and ``elsewhere`` are others."""
    for name in ("here", "away", "elsewhere"):
        (tmp_path / name).mkdir()
        new_store(tmp_path / name)
    return tmp_path / "here"


@pytest.fixture
def away(here) -> Path:
    return here.with_name("away")


@pytest.mark.slow
def test_every_run_is_there_once_and_a_finished_one_wins(here, away, capsys):
    target = write(here, {0: "FINISHED", 1: "KILLED", 2: "KILLED"})
    source = write(away, {0: "FINISHED", 1: "FINISHED", 2: "KILLED", 3: "FINISHED"})
    disagree = "0 runs added; the stores disagree on the numbers of 1 run, of which ours stay"
    for said in ("2 runs added", "0 runs added", disagree):
        if said == disagree:
            source.log_metric(toy_runs(source, {names.KEY: "key-3"})[0].run_id, "test_top1", 21.0, step=3)
        assert merged(away, here) == 0
        assert capsys.readouterr().out == f"toy: {said}\n"
        assert seeds_of(target) == {
            "0": ("FINISHED", "weights of here"),
            "1": ("FINISHED", "weights of away"),
            "2": ("KILLED", "weights of here"),
            "3": ("FINISHED", "weights of away"),
        }
    ((run,), (theirs,)) = (toy_runs(client, {names.KEY: "key-3"}) for client in (target, source))
    assert (run.params, run.start_time, run.end_time) == ({"lr": "0.1"}, theirs.start_time, theirs.end_time)
    history = target.get_metric_history(run.run_id, "test_top1")
    assert [(point.value, point.timestamp, point.step) for point in history] == [(10.0, 1001, 1), (20.0, 1002, 2)]
    assert len(toy_runs(target, {names.LEVEL: "study"})) == 1


@pytest.mark.slow
def test_a_copy_that_was_cut_off_is_made_again(here, away, monkeypatch):
    source, target = write(away, {0: "FAILED"}), write(here, {})
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "put", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            merge(source, target)
    experiment = target.get_experiment_by_name("toy").experiment_id
    assert len(target.search_runs([experiment])) == 3
    for added in (1, 0):
        assert merge(source, target) == {"toy": (added, 0)}
        assert seeds_of(target) == {"0": ("FAILED", "weights of away")}
        assert len(target.search_runs([experiment])) == 3  # nothing is left of the copy


@pytest.mark.slow
def test_two_merges_at_once_take_turns(here, away):
    others = (away, here.with_name("elsewhere"))
    for folder, seeds in zip(others, ({0: "FINISHED", 1: "FINISHED"}, {1: "KILLED", 2: "FINISHED"}), strict=True):
        write(folder, seeds)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(merged, others, (here, here))) == [0, 0]
    target = client_of(here)
    assert {seed: status for seed, (status, _) in seeds_of(target).items()} == dict.fromkeys("012", "FINISHED")
    assert [len(toy_runs(target, {names.LEVEL: level})) for level in ("study", "arm")] == [1, 1]


@pytest.mark.slow
def test_the_larger_plan_wins_and_the_views_that_ours_lacks_come_along(here, away):
    target, source = write(here, {0: "FINISHED"}), write(away, {0: "FINISHED", 1: "FINISHED"})
    plain = replace(STUDIES["sequential"](), arms=STUDIES["sequential"]().arms[:1])
    for client, seeds, saved in ((target, 1, ("study",)), (source, 2, ("study", "arms-p"))):
        study = replace(plain, seeds=range(seeds))
        plan = study_plan(study, study.trials(TRAIN), "paper", TRAIN)
        for level, note in (("study", ""), ("arm", f"n = {seeds}")):
            (run,) = toy_runs(client, {names.LEVEL: level})
            client.set_tag(run.run_id, names.NOTE, note)
            client.log_dict(run.run_id, plan, names.PLAN_FILE)
        for view in saved:
            experiment = client.get_experiment_by_name("toy").experiment_id
            client.set_experiment_tag(experiment, views.TAG + view, f"of {seeds} seeds")
    source.set_experiment_tag(experiment, f"{names.DRIVER}p", "a driver that writes to the source")
    studies: set[str] = set()
    for added in (1, 0):
        assert merge(source, target) == {"toy": (added, 0)}
        (study,) = toy_runs(target, {names.LEVEL: "study"})
        studies.add(study.run_id)
        (arm,) = toy_runs(target, {names.LEVEL: "arm"})
        assert [trial["seed"] for trial in artifacts.plan_of(target, study.run_id)["trials"]] == [0, 1]
        assert arm.tags[names.NOTE] == "n = 2"
        assert {seed: status for seed, (status, _) in seeds_of(target).items()} == {"0": "FINISHED", "1": "FINISHED"}
    assert len(studies) == 1  # where both plans have the same size, ours stays
    tags = target.get_experiment_by_name("toy").tags
    assert (tags[views.TAG + "study"], tags[views.TAG + "arms-p"]) == ("of 1 seeds", "of 2 seeds")
    assert f"{names.DRIVER}p" not in tags


def test_a_study_comes_whole_and_alone_from_a_folder_that_was_brought_from_elsewhere(here, away, capsys):
    source = write(away, {0: "FINISHED"})
    source.create_run(source.get_experiment_by_name("toy").experiment_id, tags={names.LEVEL: "trial", names.KEY: "t"})
    source.create_run(source.create_experiment("other work"))
    brought = shutil.move(away, here.with_name("brought"))
    assert merged(brought, here) == 0
    assert capsys.readouterr().out == "toy: 2 runs added\n"
    assert not away.exists()
    shutil.rmtree(brought)
    target = client_of(here)
    assert seeds_of(target) == {"0": ("FINISHED", "weights of away")}
    assert target.get_experiment_by_name("other work") is None


def test_runs_come_along_whose_arm_was_deleted(here, away):
    source, target = write(away, {0: "FINISHED"}), client_of(here)
    (arm,) = toy_runs(source, {names.LEVEL: "arm"})
    source.delete_run(arm.run_id)
    assert merge(source, target) == {"toy": (1, 0)}
    (run,) = toy_runs(target, {names.LEVEL: "seed"})
    assert (run.state, names.PARENT in run.tags) == (State.DONE, False)


def test_a_deleted_experiment_is_named_and_a_store_that_goes_away_is_no_fault_of_the_command(
    here, away, monkeypatch, capsys
):
    write(away, {})
    target = client_of(here)
    target.delete_experiment(target.create_experiment("toy"))
    with pytest.raises(BadInput, match="the MLflow experiment 'toy' is deleted"):
        merged(away, here)
    monkeypatch.setattr("mixlab.tracking.merge.merge", Mock(side_effect=MlflowException("the server is gone")))
    assert merged(away, here) == 1
    assert capsys.readouterr().err == "error: a store went away (the server is gone): the same command goes on\n"


def test_two_drivers_may_put_a_file_of_one_name_at_once(client, tmp_path):
    experiment = client.create_experiment("toy", artifact_location=(tmp_path / "mlruns").as_uri())
    run_id = client.create_run(experiment).info.run_id
    with ThreadPoolExecutor(4) as threads:
        texts = [str(number) * 1000 for number in range(10)] * 10
        list(threads.map(lambda text: artifacts.put_text(client, run_id, text, "config.json"), texts))
    assert (artifacts.read(client, run_id, "config.json") or b"").decode() in texts
    assert artifacts.listed(client, run_id) == ["config.json"]


def test_a_store_that_is_not_there_is_named(tmp_path):
    (tmp_path / "notes.db").write_text("no database")
    for other, words in (
        (f"{tmp_path}/no.db", f"no MLflow database at '{tmp_path}/no.db'"),
        ("\udcff.db", "no MLflow database at '\\udcff.db'"),  # a name that is not UTF-8
        ("", "''"),
        (f"{tmp_path}/notes.db", f"OTHER 'sqlite:///{tmp_path}/notes.db' names a file that is not a database; give"),
        ("ftp://x", "'ftp://x'"),
    ):
        with pytest.raises(BadInput, match=re.escape(words)) as error:
            main([other, "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"])
        assert "--tracking-uri" not in str(error.value)  # this option names the other side
