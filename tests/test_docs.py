"""The documentation is true: its code runs, its commands are accepted, and everything that it names exists."""

import argparse
import ast
import importlib.util
import inspect
import json
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from mixlab import Epoch, Search
from mixlab.__main__ import TOOLS, main
from mixlab.installation import studies
from mixlab.search.samplers import build_sampler
from mixlab.spec.complete import complete
from mixlab.spec.search import SAMPLERS
from mixlab.spec.trial import Trial
from mixlab.tracking.mirrors import MIRRORS, opened
from tests.endings import ended
from tests.studies.cells import load
from trainables import classify, search_architecture
from trainables.backbones import BACKBONES
from trainables.config import DEFAULTS, flatten, parse
from trainables.datasets import DATASETS
from trainables.methods import METHODS, build_method
from trainables.mixers import MIXERS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
PAGE = {page.name: page.read_text() for page in PAGES}
SHELL = [
    (page, line)
    for page, text in PAGE.items()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
    if shlex.split(line, comments=True)
]
OTHERS = ("make", "mlflow", "ray", "export", "sbatch", "git", "optuna-dashboard", "nvidia-cuda-mps-control", "sudo")


@pytest.fixture(autouse=True)
def as_a_script(monkeypatch) -> None:
    """Make a study that the code of a page starts print its plan only; restore what a command changes."""
    monkeypatch.setattr(sys, "argv", ["page", "--list"])
    monkeypatch.setattr(sys, "path", [*sys.path])


def names_of(page: str) -> dict[str, Any]:
    """Run the Python of a page, from top to bottom, and return the names that it defines."""
    names: dict[str, Any] = {"__name__": page}
    for block in re.findall(r"```python\n(.*?)```", PAGE[page], re.DOTALL):
        try:
            exec(compile(block, page, "exec"), names)
        except SystemExit as ended:
            if ended.code != 0:
                raise
    return names


@pytest.mark.parametrize("page", [page for page, text in PAGE.items() if "```python" in text])
def test_the_code_of_every_page_runs(page):
    assert len(names_of(page)) > 1


def parser_of(module: str) -> argparse.ArgumentParser:
    """Return the parser of a command that is a module, or a package with one that is run."""
    if importlib.util.find_spec(module).submodule_search_locations:
        module += ".__main__"
    found = importlib.import_module(module).parser
    return found() if callable(found) else found


def check_study(study: str, *options: str) -> None:
    """Let a study look for any fault in its options, of which ``--list`` reads the names alone."""
    given = [word for word in options if word not in ("--dry-run", "--list")]
    with ended(0):
        raise SystemExit(main(["run", study, *given, "--check"]))


@pytest.mark.parametrize(
    ("page", "line"),
    [pytest.param(*each, marks=pytest.mark.slow if "cuda_graph=true" in each[1] else ()) for each in SHELL],
)
def test_every_command_is_accepted(page, line):
    program, *arguments = shlex.split(line, comments=True)
    first, *rest = arguments or [""]
    if program == "python" and first.startswith("studies/"):
        check_study(*arguments)
    elif program == "python" and first.startswith("analysis/"):
        parser_of(first.removesuffix(".py").replace("/", ".")).parse_args(rest)
    elif program == "python":
        assert (ROOT / first).exists() or first == "-m", line
    elif program == "mixlab" and first in ("run", "fetch"):
        check_study(*rest)
    elif program == "mixlab":
        assert first == "list" or parser_of(TOOLS[first][0]).parse_args(rest)
    else:
        assert program in OTHERS, line
        if program == "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        for script in (word for word in arguments if word.startswith("slurm/")):
            assert (ROOT / script).exists(), line


def test_the_checks_on_github_are_those_of_make():
    asked = set(re.findall(r"make (\w+)", (ROOT / ".github" / "workflows" / "checks.yml").read_text()))
    assert {"lint", "fast", "test", "docs"} <= asked
    assert asked <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGE)
def test_every_file_that_a_page_names_exists(page):
    named = re.findall(r"\b(?:studies|analysis|trainables|platform|docker|slurm|tests)/[\w/.-]*\w", PAGE[page])
    ours = ("mixers/halfmix", "backbones/small", "datasets/stripes", "methods/weight_norm")
    examples = {f"trainables/{name}.py" for name in ours}
    examples |= {f"platform/mixlab/{name}.py" for name in ("search/halton", "tracking/mirrors/jsonlines")}
    for path in {re.sub(r"\.$", "", path) for path in named} - examples:
        if "NAME" not in path and "STUDY" not in path:
            assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\((?!http)([^)#]+)", PAGE[page]):
        assert ((ROOT if page in ("README.md", "CONTRIBUTING.md") else ROOT / "docs") / link).exists(), link


def test_the_page_of_the_papers_says_what_every_study_trains_where_it_is_named_first():
    rows = [line.strip("|").split(" | ") for line in PAGE["papers.md"].splitlines() if line.startswith("| ")]
    trained = {name: cells[-1] for cells in reversed(rows) for name in re.findall(r"`(\w+)`", " ".join(cells[:-1]))}
    searched = complete(search_architecture.train).read({"dataset": "cifar100"}).flat["epochs"]
    for name in studies():
        spec, _ = load(name)
        study = spec.study if isinstance(spec, Search) else spec
        cells = study.cells()
        *others, most = sorted({cell.config.get("epochs", searched) for cell in cells})
        epochs = f"{', '.join(map(str, others))} or {most}" if others else str(most)
        trials = f"{len(cells) * spec.per_cell} trials, then " if isinstance(spec, Search) else ""
        assert f"{trials}{len(cells) * len(study.seeds)} x {epochs}" in trained[name].strip().split("; "), name


def table_rows(page: str) -> dict[str, list[str]]:
    """Return the cells of every row whose first cell names something, by each of the names in it."""
    rows = [line.strip("|").split(" | ") for line in PAGE[page].splitlines() if line.startswith("| `")]
    return {name: cells for cells in rows for name in re.findall(r"`([^`]+)`", cells[0])}


def test_the_page_of_what_can_be_set_lists_everything_with_its_default():
    rows = table_rows("configuration.md")
    usual = json.loads(json.dumps(flatten(DEFAULTS)))  # with lists, as they are given on the command line
    assert {key: json.loads(rows[key][1].strip("` ")) for key in usual} == usual
    for name in MIXERS:
        options = dict(option.split("=", 1) for option in re.findall(r"`([^`]+=[^`]+)`", rows[name][2]))
        own = inspect.signature(MIXERS[name]).parameters.values()
        defaults = {each.name: each.default for each in own if each.kind is each.KEYWORD_ONLY}
        found = {option: json.loads(value) for option, value in options.items()}
        assert found == json.loads(json.dumps({k: v for k, v in defaults.items() if v is not inspect.Parameter.empty}))
    for name in BACKBONES:
        assert f"`{name}`" in PAGE["configuration.md"], name
    for name, dataset in DATASETS.items():
        if not dataset.in_folder:
            _, classes, images, fetched = rows[name]
            assert classes == f"{dataset.num_classes:,}"
            assert images.startswith(f"{dataset.num_train:,} and {dataset.num_test:,}"), name
            assert ("fetched" in fetched) == dataset.fetched, name
        assert name in rows


def an_entry(source: str) -> list[type[ast.AST]]:
    """Return the kinds of the parts of an entry of the first dictionary or tuple in ``source``."""
    found = next(each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Dict | ast.Tuple))
    return list(map(type, [found.keys[0], found.values[0]] if isinstance(found, ast.Dict) else [found.elts[-1]]))


def test_the_line_of_an_addition_is_one_like_the_others_in_its_place():
    lines = re.findall(r"`([^`]+)`\s+in\s+`([A-Z]+)`,\s+`([\w/]+\.py)`", PAGE["extending.md"])
    assert len(lines) == 7
    for line, name, file in lines:
        (place,) = re.findall(rf"^{name}\b.*? = (.*?^[)}}])$", (ROOT / file).read_text(), re.MULTILINE | re.DOTALL)
        assert an_entry(f"{{{line}}}" if ": " in line else f"({line},)") == an_entry(place), line


def test_the_mixer_is_a_mixer(monkeypatch):
    halfmix = names_of("extending.md")["halfmix"]
    images = torch.rand(6, 3, 16, 12)
    mixed = halfmix(images, torch.Generator().manual_seed(0))
    partner = mixed.sources[:, 1]
    assert torch.equal(mixed.images[..., :6], images[..., :6])
    assert torch.equal(mixed.images[..., 6:], images[partner][..., 6:])
    assert mixed.weights.tolist() == [[0.5, 0.5]] * 6

    monkeypatch.setitem(MIXERS.data, "halfmix", halfmix)
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "mixer": "halfmix", "sumix.lam": "learned"})
    loss, _ = build_method(config, seed=0)(images, torch.arange(6), torch.Generator().manual_seed(0))
    assert loss.isfinite()
    with pytest.raises(ValueError, match=r"'mixer\.aplha'; did you mean 'mixer\.alpha'"):
        parse({"mixer": "halfmix", "mixer.aplha": 0.5})


@pytest.mark.slow
def test_the_backbone_and_the_data_set_train_and_the_metric_is_reported_after_every_epoch(monkeypatch, tmp_path):
    names = names_of("extending.md")
    monkeypatch.setitem(BACKBONES.data, "small", names["small"])
    monkeypatch.setitem(DATASETS.data, "stripes", names["STRIPES"])
    monkeypatch.setitem(MIXERS.data, "halfmix", names["halfmix"])
    monkeypatch.setitem(METHODS.data, "halfmix", names["WithWeightNorm"])
    config = {"dataset": "stripes", "backbone": "small", "epochs": 8, "batch_size": 8, "lr": 0.05, "mixer": "halfmix"}
    epochs: list[Any] = []
    classify.train(config, 0, lambda epoch, save: epochs.append(epoch), data_root=tmp_path)
    assert [epoch.number for epoch in epochs] == list(range(1, 9))
    assert epochs[-1].metrics["test_top1"] == 100  # stripes are easy
    assert epochs[0].metrics["weight_norm"] != epochs[1].metrics["weight_norm"] > 1


def test_the_trainable_declares_reports_and_goes_on_from_a_checkpoint(tmp_path):
    names = names_of("extending.md")
    ridge, study = names["Ridge"](), names["study"]
    assert [metric.names for metric in ridge.metrics] == [("rmse", "rmse_last", "rmse_best")]
    assert len(study.arms) * len(study.seeds) == 12
    with pytest.raises(ValueError, match="rate must be between 0 and 1, got 2"):
        ridge.resolve({"rate": 2})
    with pytest.raises(ValueError, match="unknown option 'penalti'; there are steps, rate, penalty"):
        ridge.resolve({"penalti": 0.1})

    def errors(resume_from: Path | None = None, keep: int = 0) -> list[float]:
        found: list[float] = []

        def report(epoch: Any, save: Any) -> None:
            found.append(epoch.metrics["rmse"])
            if epoch.number == keep:
                save(tmp_path)

        ridge(ridge.resolve({}), 0, report, resume_from=resume_from)
        return found

    whole = errors(keep=7)
    assert whole[-1] < whole[0]
    assert np.array_equal(errors(resume_from=tmp_path), whole[7:])


def test_the_sampler_proposes_one_sequence_for_each_arm(monkeypatch):
    module = types.ModuleType("halton")
    module.halton = names_of("extending.md")["halton"]
    monkeypatch.setitem(sys.modules, "halton", module)
    monkeypatch.setitem(SAMPLERS, "halton", "halton:halton")

    def proposed(arm: str) -> list[float]:
        study = optuna.create_study()
        values = []
        for number in range(8):
            study.sampler = build_sampler("halton", arm, number, per_arm=8)
            trial = study.ask({"zeta": optuna.distributions.FloatDistribution(0, 1)})
            study.tell(trial, 0.0)
            values.append(trial.params["zeta"])
        return values

    first = proposed("arm")
    assert first == proposed("arm") != proposed("other arm")
    assert len(set(first)) == 8


def test_the_mirror_shows_every_epoch(tmp_path, monkeypatch):
    assert len(re.findall("^from mixlab import", PAGE["extending.md"], re.MULTILINE)) == 1  # a file of Mixlab cannot
    monkeypatch.setitem(MIRRORS, "jsonlines", names_of("extending.md")["JsonLines"])
    trial = Trial("key", "arm", {}, 3, {})
    mirrors = opened(["jsonlines"], "study", tmp_path, pytest.fail)
    mirrors.start(trial)
    mirrors.epoch(trial, Epoch(1, 2, {"top1": 50.0}))
    mirrors.close([trial])
    lines = [json.loads(line) for line in (tmp_path / "study.jsonl").read_text().splitlines()]
    assert lines == [
        {"trial": "arm · seed 3", "began": True},
        {"trial": "arm · seed 3", "epoch": 1, "top1": 50.0},
        {"trial": "arm · seed 3", "ended": "interrupted"},
    ]


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "first-study" / "index.html").exists()
