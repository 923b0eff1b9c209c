"""The files of Ray's launcher, by Ray's own schema; and the manifest for KubeRay."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker" / name).read_text())
    return found


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster-aws.yaml"])
def test_the_launcher_takes_it(name: str) -> None:
    filled = prepare_config(load(name))
    validate_config(filled)
    commands = filled["head_start_ray_commands"] + filled["worker_start_ray_commands"]
    assert not any("ray stop" in command for command in commands)  # it would end every Ray process of the machine
    (head,) = filled["head_start_ray_commands"]
    assert "--dashboard-host=127.0.0.1" in head
    assert any("RAY_AUTH_TOKEN" in option or "ray.env" in option for option in filled["docker"]["run_options"])


def test_ones_own_machines_are_all_workers_from_the_start() -> None:
    filled = prepare_config(load("cluster.yaml"))
    machines = len(load("cluster.yaml")["provider"]["worker_ips"])
    (kind,) = filled["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == filled["max_workers"] == machines


def test_a_misspelt_key_would_be_noticed() -> None:
    wrong = prepare_config(copy.deepcopy(load("cluster-aws.yaml")))
    wrong["idle_timeout_minute"] = 5
    with pytest.raises(Exception, match="idle_timeout_minute"):
        validate_config(wrong)


def test_the_manifest_names_the_pinned_ray_one_image_the_token_and_no_root() -> None:
    spec = load("kuberay.yaml")["spec"]
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    assert spec["rayVersion"] == pinned["ray"]
    assert spec["authOptions"] == {"mode": "token"}
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["readinessProbe"]["exec"]["command"] == ["ray", "health-check"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
