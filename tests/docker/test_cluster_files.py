"""The files that start a cluster fit the schemas of Ray and of Compose, and agree with each other."""

import copy
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.pins import pinned

ROOT = Path(__file__).parents[2]


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker" / name).read_text())
    return found


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster-aws.yaml"])
def test_the_launcher_takes_it(name):
    filled = prepare_config(load(name))
    validate_config(filled)
    wrong = copy.deepcopy(filled)
    wrong["idle_timeout_minute"] = 5
    with pytest.raises(Exception, match="idle_timeout_minute"):
        validate_config(wrong)


def test_ones_own_machines_are_all_workers_from_the_start():
    filled = prepare_config(load("cluster.yaml"))
    machines = len(load("cluster.yaml")["provider"]["worker_ips"])
    (kind,) = filled["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == filled["max_workers"] == machines


def test_the_manifest_is_of_the_pinned_ray_mounts_the_volumes_that_it_has_and_runs_nothing_as_root():
    spec = load("kuberay.yaml")["spec"]
    assert spec["rayVersion"] == pinned("ray")
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker-compose on the PATH")
def test_compose_takes_the_file_in_every_profile_and_refuses_to_start_without_a_secret_or_the_commit():
    def asked(profile: str, **given: str) -> tuple[int, str]:
        command = ["docker-compose", "-f", str(ROOT / "docker" / "compose.yaml"), "--profile", profile, "config", "-q"]
        environment = {"PATH": os.environ["PATH"], **given}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr

    needed = {"POSTGRES_PASSWORD": "p", "RAY_AUTH_TOKEN": "t", "COMMIT": "c"}
    for profile in ("gpu", "study"):
        assert asked(profile, **needed) == (0, "")
    for name in needed:
        code, said = asked("study", **{other: value for other, value in needed.items() if other != name})
        assert code != 0
        assert name in said


def test_services_publish_on_loopback_alone_gain_no_rights_and_wait_for_those_with_a_health_check():
    services = load("compose.yaml")["services"]
    for name, service in services.items():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy", name
            assert "healthcheck" in services[needed], name


def test_mlflow_allows_the_name_by_which_the_study_asks():
    services = load("compose.yaml")["services"]
    (uri,) = [word.partition("=")[2] for word in services["study"]["command"] if word.startswith("--tracking-uri=")]
    allowed = services["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert uri.removeprefix("http://") in allowed
    assert "*" not in "".join(allowed)


def test_every_ray_node_asks_for_the_token():
    services = load("compose.yaml")["services"]
    nodes = {name: service for name, service in services.items() if service.get("command", [])[:2] == ["ray", "start"]}
    assert set(nodes) == {"head", "worker", "worker-gpu"}
    for name, service in {**nodes, "study": services["study"]}.items():
        assert service["environment"]["RAY_AUTH_MODE"] == "token", name
        assert service["environment"]["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?"), name  # no start without one
    assert load("kuberay.yaml")["spec"]["authOptions"] == {"mode": "token"}
    assert "--env=RAY_AUTH_TOKEN=$RAY_AUTH_TOKEN" in load("cluster-aws.yaml")["docker"]["run_options"]
    assert any(option.startswith("--env-file=") for option in load("cluster.yaml")["docker"]["run_options"])
