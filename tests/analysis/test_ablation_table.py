"""The command and the function that a study calls, on a real MLflow store."""

import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from analysis import ablation_table
from analysis.ablation_table import main, study_table, with_ratios, write_study_table
from analysis.records.runs import load_plan
from analysis.statistics.tables import level_tables
from tests.analysis.planned import make_plan, planned_runs
from tests.strict_json import strict
from trainables.config import flatten, parse
from trainables.recipes import CIFAR100_PREACT_RESNET18

ROOT = Path(__file__).resolve().parents[2]
FILES = ["table.md", "table.csv", "table.tex", "table.html", "gains.png", "gains.pdf", "gains.tex"]


@pytest.fixture(scope="module")
def tiny(track_in, tmp_path_factory):
    """Return a study of 2 mixers x 3 arms x 2 seeds with one failed cell, which no test changes."""
    study = track_in(tmp_path_factory.mktemp("tiny"))
    plan = make_plan(seeds=2, factors={"mixer": ("cutmix", "saliencymix")}) | {"config": {"clip": math.inf}}
    study.add_plan(plan, "aaaa1111")
    for position, trial in enumerate(plan["trials"]):
        if position == 4:
            study.add_run(trial, None, status="FAILED", tags={"mixlab.error": "RuntimeError: loss is NaN"})
        else:
            study.add_run(trial, 70.0 + trial["seed"] + plan["arms"].index(trial["arm"]))
    return study


@pytest.mark.slow
def test_files_of_a_study(tiny, printed, tmp_path):
    folder = tmp_path / "a" / "b"
    result = write_study_table(tiny.uri, tiny.study, folder, load_plan(tiny.uri, tiny.study))
    assert [path.name for path in result.files] == FILES
    assert all(path.parent == folder and path.stat().st_size > 500 for path in result.files[:-1])
    assert result.files[-1].read_text().count("commit") == 1
    assert (folder / "gains.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "gains.pdf").read_bytes().startswith(b"%PDF")
    table = pd.read_csv(folder / "table.csv")
    assert table.loc[(table["factor.mixer"] == "cutmix") & (table.arm == "+ l_s"), "gain"].item() == 2.0
    assert "mixer = saliencymix" in result.text
    assert "1 (1 failed)" in result.text
    assert "too few seeds to tell" in result.text


@pytest.mark.slow
def test_a_plan_may_be_given(tiny):
    plan = make_plan(seeds=2, factors={"mixer": ("cutmix",)})
    result = study_table(tiny.uri, tiny.study, plan)
    assert [level.name for level in result.levels] == ["mixer = cutmix"]


@pytest.mark.slow
def test_the_command_prints_and_writes(tiny, tmp_path, capsys):
    assert tiny.call(ablation_table, "--out", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "mixer = cutmix" in out
    assert str(tmp_path / "table.tex") in out
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert tiny.call(ablation_table, "--metric", "test_top1_last", "--show-last-best") == 0
    assert "top-1 accuracy, %, last epoch" in capsys.readouterr().out
    assert tiny.call(ablation_table, "--ratios", "test_top1_last, test_top1_best") == 0
    (header, *_) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("arm")]
    assert "last_ratio" in header
    assert "best_ratio" in header


def test_a_published_ratio_stands_next_to_ours(track, capsys):
    study, plan = track(), make_plan(arms=("none", "puzzlemix"), seeds=1)
    recipe = {**CIFAR100_PREACT_RESNET18, "mixer.alpha": 1.0}
    study.add_all(plan, lambda _: 78.0, lambda trial: flatten(parse({**recipe, "mixer": trial["arm"]})))
    for (arm, _), run_id in study.run_ids.items():
        study.client.log_metric(run_id, "train_seconds_total", 2.0 if arm == "none" else 6.0)
    assert study.call(ablation_table, "--ratios", "train_seconds_total") == 0
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.startswith("arm"))
    row = next(line for line in lines if line.startswith("puzzlemix"))
    at = header.index("train_seconds_total_ratio")
    assert header[at:].startswith("train_seconds_total_ratio    train_seconds_total_ratio, paper")
    assert row[at:].split()[:2] == ["3.00", "2.73"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ablaton_tiny"], "did you mean 'ablation_tiny'?"),
        (["ablation_tiny", "--metric", "test_top1_lst"], "the metric 'test_top1_lst'; did you mean 'test_top1_last'?"),
        (["ablation_tiny", "--metric", "f"], "there are 'test_top1_best', 'test_top1_last', 'test_top1_median10'"),
        (["ablation_tiny", "--ratios", "seconds"], "no run that is done logged the metric 'seconds'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tiny, capsys, arguments, sentence):
    assert main([*arguments, "--tracking-uri", tiny.uri]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_the_folder_of_a_command_shadows_no_standard_module():
    """It comes first on the path of what a user types, and holds a folder with the name of Python's statistics."""
    assert not {path.stem for path in (ROOT / "analysis").glob("*.py")} & set(sys.stdlib_module_names)
    script = "import sys; sys.path.insert(0, 'analysis'); import statistics; print(statistics.median([3, 1, 2]))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


def test_it_prints_json_that_any_program_can_read(tiny, tmp_path, capsys):
    assert tiny.call(ablation_table, "--json", "--out", str(tmp_path / "out")) == 0
    found = strict(capsys.readouterr().out)
    assert (found["plan"]["baseline"], found["plan"]["config"]) == ("baseline", {"clip": "Infinity"})
    assert [verdict["arm"] for verdict in found["verdicts"]] == 2 * ["+ lam", "+ l_s"]
    assert all(Path(file).is_file() for file in found["paths"]["files"])


def test_each_run_is_divided_by_the_baselines_run_of_the_seed_whichever_arm_it_is_compared_with():
    """The papers divide by the baseline, so a column beside their numbers must have the same divisor."""
    plan = make_plan(arms=("baseline", "+ lam", "+ l_s"), seeds=2)
    plan["against"] = {"+ lam": "baseline", "+ l_s": "+ lam"}
    runs = planned_runs(plan, lambda *_: 70.0)
    seconds = {"baseline": (2.0, 4.0), "+ lam": (3.0, 5.0), "+ l_s": (6.0, math.nan)}  # by seed
    runs["metric.step_seconds"] = [seconds[arm][seed] for arm, seed in zip(runs["arm"], runs["seed"], strict=True)]
    (level,) = level_tables(runs, plan)
    ratios = with_ratios(level, {"step_seconds": {}}).runs.set_index(["arm", "seed"])["metric.step_seconds_ratio"]
    assert list(ratios["baseline"]) == [1, 1]
    assert list(ratios["+ lam"]) == pytest.approx([1.5, 1.25])
    assert ratios["+ l_s"][0] == 3
    assert math.isnan(ratios["+ l_s"][1])
