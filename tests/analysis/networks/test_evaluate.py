"""What an evaluation reads back: the configuration of a run, and the results of an earlier evaluation."""

import math
from typing import Any

import pytest

from analysis.networks import evaluate
from analysis.networks.checkpoint import CheckpointError, fetch, load_network
from mixlab.errors import BadInput
from tests.analysis.planned import make_plan
from tests.strict_json import strict


@pytest.fixture(scope="module")
def one_run(track_in, tmp_path_factory) -> tuple[Any, str]:
    """Return a study and its only run, whose ``config.json`` each test writes anew."""
    study, plan = track_in(tmp_path_factory.mktemp("run")), make_plan(arms=("baseline",), seeds=1)
    study.add_plan(plan)
    run_id = study.add_run(plan["trials"][0], 40.0)
    study.client.log_text(run_id, "weights", "model.pt")
    return study, run_id


@pytest.mark.parametrize("config", ["[]", "5", "null", '{"mixer": ["cutmix"]}', '{"epochs": "many"}'])
def test_a_configuration_of_another_form_is_a_sentence(one_run, config):
    study, run_id = one_run
    study.client.log_text(run_id, config, "config.json")
    with pytest.raises(CheckpointError, match=r"^its (config\.json is damaged|configuration cannot be read) \("):
        load_network(fetch(study.client, run_id))


@pytest.mark.parametrize("content", ["", "[]", "5"])
def test_earlier_results_that_are_none_are_named(content, tmp_path):
    file = tmp_path / "evaluations.json"
    file.write_text(content)
    sentence = rf"^the earlier results in '{file}' cannot be read \(.+\): delete the file .*, or give another --out$"
    with pytest.raises(BadInput, match=sentence):
        evaluate.read_results(file)


def test_earlier_results_come_back_from_a_file_that_any_program_can_read(tmp_path):
    file = tmp_path / "new" / "evaluations.json"
    assert evaluate.read_results(file) == {}
    results = {"key": {"loss": math.inf, "bins": [[1, -math.inf]], "source": "cifar10"}}
    evaluate.write_results(file, results)
    strict(file.read_text())
    evaluate.write_results(file, {"of another command": {}})
    assert evaluate.read_results(file) == {**results, "of another command": {}}
    assert list(file.parent.iterdir()) == [file]
