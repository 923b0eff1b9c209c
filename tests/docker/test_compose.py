"""The compose file: what is published, what must be given, and what waits for what."""

import re
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[2] / "docker" / "compose.yaml"
TEXT = FILE.read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]


def test_only_mlflow_and_the_dashboard_are_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"mlflow": ["127.0.0.1:5000:5000"], "head": ["127.0.0.1:8265:8265"]}
    assert not any("network_mode" in service or service.get("privileged") for service in SERVICES.values())


def test_secrets_must_be_given_and_have_no_default() -> None:
    first = {name: TEXT.index("${" + name) for name in ("POSTGRES_PASSWORD", "RAY_AUTH_TOKEN")}
    for name, place in first.items():
        assert TEXT[place:].startswith("${" + name + ":?"), name
    secrets = [
        str(value)
        for service in SERVICES.values()
        for key, value in service.get("environment", {}).items()
        if re.search("PASSWORD|TOKEN|STORE_URI", key)
    ]
    assert len(secrets) >= 6
    for value in secrets:
        assert "${POSTGRES_PASSWORD" in value or "${RAY_AUTH_TOKEN" in value


def test_every_ray_node_has_token_authentication() -> None:
    nodes = {"head", "worker", "worker-gpu", "study"}
    assert {name for name, service in SERVICES.items() if "RAY_AUTH_TOKEN" in service.get("environment", {})} == nodes
    assert all(SERVICES[name]["environment"]["RAY_AUTH_MODE"] == "token" for name in nodes)


def test_services_start_when_what_they_need_is_healthy() -> None:
    needs = {
        name: {other for other, how in service.get("depends_on", {}).items() if how["condition"] == "service_healthy"}
        for name, service in SERVICES.items()
    }
    assert needs == {
        "postgres": set(),
        "mlflow": {"postgres"},
        "head": set(),
        "worker": {"head"},
        "worker-gpu": {"head"},
        "study": {"head", "mlflow"},
    }
    for needed in set().union(*needs.values()):
        assert "healthcheck" in SERVICES[needed]


def test_mlflow_allows_the_name_by_which_the_study_asks() -> None:
    (uri,) = [word.partition("=")[2] for word in SERVICES["study"]["command"] if word.startswith("--tracking-uri=")]
    allowed = SERVICES["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert uri.removeprefix("http://") in allowed
    assert "127.0.0.1:5000" in allowed
    assert "*" not in "".join(allowed)


def test_the_study_finds_data_and_results_where_the_workers_have_them() -> None:
    folders = {volume.rpartition(":")[2] for volume in SERVICES["worker"]["volumes"]}
    assert SERVICES["study"]["volumes"] == SERVICES["worker"]["volumes"] == SERVICES["worker-gpu"]["volumes"]
    assert {"--storage=/results", "--data-root=/data"} <= set(SERVICES["study"]["command"])
    assert folders == {"/data", "/results"}
