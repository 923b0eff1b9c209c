"""The batch script that ``mixlab slurm`` writes."""

import subprocess
from pathlib import Path

import pytest

from mixlab.slurm import main

# The part of the script between a job's start and the study: SLURM's variables are given.
PROBE = 'study_and_options() { echo "$study" "${options[@]}" "$@"; }; study_and_options "$@"; exit\n'


def written(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def started(script: str, folder: Path, **variables: str) -> list[str]:
    """Return the study and its options as the script understands them."""
    before, _, _ = script.partition("\ncluster=")
    variables = {"SLURM_JOB_ID": "7", "PATH": "/usr/bin:/bin", **variables}
    done = subprocess.run(
        ["bash", "-c", f"{before}\n{PROBE}"], cwd=folder, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_size_of_the_job_and_the_study_are_filled_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = ("--nodes", "4", "--cpus", "64", "--gpus", "8", "--time", "12:00:00", "--partition", "gpu")
    script = written(*job, "ablation_cifar100", "--preset", "quick", "--arms", "+ lam", capsys=capsys)
    directives = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    for wanted in ("nodes=4", "cpus-per-task=64", "gpus-per-node=8", "time=12:00:00", "partition=gpu", "requeue"):
        assert f"#SBATCH --{wanted}" in directives
    assert len(directives) == len({line.partition("=")[0] for line in directives})
    assert script.index(directives[-1]) < script.index("set -u")  # SLURM reads none after the first command
    study, *options = started(script, tmp_path)
    assert study == "ablation_cifar100"
    database = f"sqlite:///{tmp_path}/mlflow-ablation_cifar100.db"
    assert options[:4] == ["--tracking-uri", database, "--storage", f"{tmp_path}/results"]
    assert options[4:] == ["--preset", "quick", "--arms", "+", "lam"]


def test_several_studies_are_an_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = written("ablation_cifar100,mixers_cifar100", "--seeds", "6", capsys=capsys)
    assert "#SBATCH --array=0-1\n" in script
    for task, name in enumerate(("ablation_cifar100", "mixers_cifar100")):
        assert started(script, tmp_path, SLURM_ARRAY_TASK_ID=str(task))[0] == name


def test_the_script_as_it_stands_takes_the_study_from_its_arguments() -> None:
    script = Path(__file__).parents[2] / "slurm" / "study.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
    directives = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --requeue", "#SBATCH --signal=B:TERM@300"} <= set(directives)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ablation_cifar10",), "unknown study 'ablation_cifar10'; did you mean 'ablation_cifar100'?"),
        (("mixers_cifar100,ablation_cub,mixers_cifar100",), "the study 'mixers_cifar100' is named twice"),
        (("--out", "/nowhere/job", "ablation_cifar100"), "No such file or directory: '/nowhere/job'"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--time", "--partition", "--account", "--nodes"])
@pytest.mark.parametrize("value", ["", " ", "a b", "x\n#SBATCH --wrap=y"])
def test_a_value_that_no_directive_can_hold_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option, value, "ablation_cifar100"])
    assert ended.value.code == 2
    assert repr(value) in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["90", "90:00", "24:00:00", "2-12", "2-12:30", "2-12:30:00", "UNLIMITED"])
def test_a_limit_is_written_in_any_of_slurms_ways(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"#SBATCH --time={limit}\n" in written("--time", limit, "ablation_cifar100", capsys=capsys)
