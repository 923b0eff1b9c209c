"""What an evaluation reads back: the configuration of a run, and the results of an earlier evaluation."""

import io
import itertools
import math
from argparse import Namespace
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from analysis.evaluation import Evaluation
from analysis.networks import evaluate
from analysis.networks.checkpoint import Checkpoint, CheckpointError, fetch, load_network
from analysis.shown_images import shown_images
from mixlab.errors import BadInput
from tests.analysis.planned import make_plan
from tests.strict_json import strict
from trainables.backbones.backbone import Network
from trainables.config import parse
from trainables.datasets.dataset import BatchSource
from trainables.methods import build_network


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


def test_a_result_says_how_many_images_it_is_of_and_all_classes_have_names(tmp_path, monkeypatch):
    """Not how many were asked for: there are six, of which one is skipped."""
    for part, number in itertools.product(("train", "test"), range(6)):
        path = tmp_path / "flowers" / part / ("rose", "tulip")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (40 * number, 0, 0)).save(path)
    path.write_text("no image")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 0)  # decode in this process
    config = {"dataset": "folder", "folder": "flowers", "num_classes": 2, "image_size": 16, "backbone": "resnet8"}
    config |= {"augment": "rrc_flip", "init": "torch_default", "bad_images": "skip"}
    content = io.BytesIO()
    torch.save(build_network(parse(config)).backbone.state_dict(), content)
    checkpoint = Checkpoint(config, content.getvalue())

    def measure(network: Network, source: BatchSource, *_: Any) -> dict[str, Any]:
        return {"read": sum(len(labels) for _, labels in source.test_batches(4))}

    assert evaluate.evaluate(checkpoint, measure, {}, 1000, tmp_path) == {"images": 5, "read": 5}
    study = Evaluation(Namespace(images=1000), {}, pd.DataFrame(), {"a": {"images": 5}, "b": {}, "c": {"images": 5}})
    assert study.images() == "5 or 1000 test images"
    assert shown_images(parse(config), [0], tmp_path)[2] == ["rose", "tulip"]
