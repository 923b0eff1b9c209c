"""The batch script that ``mixlab slurm`` writes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mixlab.slurm import main, parser
from mixlab.uris import sqlite_file
from tests.endings import ended

SCRIPT = Path(__file__).parents[2] / "slurm" / "study.sbatch"

TINY = """
from types import SimpleNamespace
from mixlab import Arm, Metric, Study, main

def train(settings, seed, report, *, resume_from=None, data_root="data"):
    raise AssertionError("trained")

train.metrics = (Metric("rmse", "µm", higher_is_better=False, rules=("last",)),)
arms = (Arm("one", {}), Arm("+ lam", {"x": 2}), Arm("Größe · λ ≤ ½ 🙂", {"x": 3}))
study = Study(name="tiny", base={"x": 1}, arms=arms)
main(study, train, report=SimpleNamespace(report=print))  # the usual one takes seconds to import
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> str:
    """Return the file of a study that starts in no time, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(TINY)
    return "tiny.py"


def written(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def in_a_job(folder: Path, *command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"SLURM_JOB_ID": "7", "PATH": "/usr/bin:/bin", **variables}
    return subprocess.run(["bash", *command], cwd=folder, env=environment, capture_output=True, text=True)


def started(script: str, folder: Path, *arguments: str, **variables: str) -> list[str]:
    """Return the study and its options as the script understands them, by its part before a cluster is started."""
    before, _, _ = script.partition("\ncluster=")
    code = f'{before}\nprintf "%s\n" "$study" "${{options[@]}}" "$@"'
    done = in_a_job(folder, "-c", code, "study.sbatch", *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_size_of_the_job_and_the_study_are_filled_in_whatever_this_machine_has(tiny, tmp_path, capsys):
    job = ("--nodes", "4", "--cpus", "64", "--gpus", "8", "--time", "12:00:00", "--partition", "gpu")
    given = ["--preset", "quick", "--gpus-per-trial", "1", "--cpus-per-trial", "500", "--arms", "+ lam"]
    given += ["--tracking-uri", "http://head:5000", "--storage", "s3://bucket/x", "--data-root", "/nowhere"]
    script = written(*job, tiny, *given, capsys=capsys)
    directives = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    for wanted in ("nodes=4", "cpus-per-task=64", "gpus-per-node=8", "time=12:00:00", "partition=gpu", "requeue"):
        assert f"#SBATCH --{wanted}" in directives
    assert len(directives) == len({line.partition("=")[0] for line in directives})
    assert script.index(directives[-1]) < script.index("set -u")  # SLURM reads none after the first command
    where = ["--tracking-uri", f"sqlite:///{tmp_path}/mlflow-tiny.py.db", "--storage", f"{tmp_path}/results"]
    assert started(script, tmp_path) == [tiny, *where, *given]
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.py"}


def test_the_script_as_it_stands_takes_the_study_from_its_arguments():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    directives = [line for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --requeue", "#SBATCH --signal=B:TERM@300"} <= set(directives)


def test_the_sockets_of_ray_have_short_names_wherever_the_scratch_folder_is(tmp_path):
    before, _, _ = SCRIPT.read_text().partition("\ncluster=")
    code = f'{before}\nprintf "%s" "$RAY_TMPDIR"'
    done = in_a_job(tmp_path, "-c", code, "study.sbatch", "any", TMPDIR=f"/scratch/{'long/' * 40}")
    assert done.stdout == "/tmp/ray-7"


@pytest.mark.parametrize(
    ("arguments", "task", "sentence"),
    [
        ((), {}, "a study must be named after this script"),
        (("a,b",), {}, "error: 2 studies need an array with a task for each: sbatch --array=0-1 ..."),
        (("a,b",), {"SLURM_ARRAY_TASK_ID": "2"}, "there are fewer studies than tasks of the array"),
    ],
)
def test_a_job_without_a_study_of_its_own_says_so(arguments, task, sentence, tmp_path):
    done = in_a_job(tmp_path, SCRIPT, *arguments, **task)
    assert done.returncode
    assert done.stderr.endswith(f"{sentence}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ablation_cifar10",), "unknown study 'ablation_cifar10'; did you mean 'ablation_cifar100'?"),
        (("mixers_cifar100,ablation_cub,mixers_cifar100",), "the study 'mixers_cifar100' is named twice"),
        (("--out", "/nowhere/job", "tiny.py"), "No such file or directory: '/nowhere/job'"),
        (("tiny.py", "--tracking-uri", "http://me:secret@head"), "an option holds a password, which whoever reads the"),
        (("broken.py",), "the study 'broken.py' cannot be started: ModuleNotFoundError: No module named 'nothing'\n"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, tiny, tmp_path, capsys):
    (tmp_path / "broken.py").write_text("import nothing")
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert not said.out


@pytest.mark.parametrize("option", ["--time", "--partition", "--account", "--nodes"])
@pytest.mark.parametrize("value", ["", " ", "a b", "x\n#SBATCH --wrap=y"])
def test_a_value_that_no_directive_can_hold_is_refused(option, value, capsys):
    with ended(2):
        main([option, value, "ablation_cifar100"])
    assert repr(value) in capsys.readouterr().err


def test_a_limit_is_taken_in_any_of_slurms_ways():
    for limit in ("90", "90:00", "24:00:00", "2-12", "2-12:30", "2-12:30:00", "UNLIMITED"):
        assert parser().parse_args(["--time", limit, "any"]).time == limit


OF_THE_JOB = ("--nodes", "--cpus=4", "--gpus", "--time", "--partition", "--account=a", "--out")
GIVE_IT_BEFORE = "{} is an option of the job, not of the study: give it before tiny.py"
TRAINING_NOTHING = ("-h", "--help", "--check", "--list", "--dry-run", "--fetch")
NO_JOB = "with {} nothing is trained, so it makes no job: give it to mixlab run instead"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--seed", "2"), "unknown option '--seed'; did you mean '--seeds'?"),
        (("--gpus-per-trial", "1.5"), "--gpus-per-trial above 1 must be a whole number, got 1.5"),
        *(((given, "2"), GIVE_IT_BEFORE.format(given.partition("=")[0])) for given in OF_THE_JOB),
        *(((option,), NO_JOB.format(option)) for option in TRAINING_NOTHING),
    ],
)
def test_options_that_are_refused_write_no_job(options, sentence, tiny, tmp_path, capsys):
    assert main(["--out", "job", tiny, "--seeds", "3", *options]) == 2
    assert capsys.readouterr() == ("", f"error: {sentence}\n")
    assert [path.name for path in tmp_path.iterdir()] == [tiny]


def test_several_studies_are_an_array_in_which_no_file_is_twice(tiny, tmp_path, capsys):
    (tmp_path / "b").mkdir()
    assert main(["tiny.py,b/../tiny.py"]) == 2
    assert "error: the study 'b/../tiny.py' is named twice" in capsys.readouterr().err
    shutil.copy(tiny, "b/tiny.py")
    script = written("tiny.py,b/tiny.py", "--seeds", "6", capsys=capsys)
    assert "#SBATCH --array=0-1\n" in script
    for task, name in enumerate(("tiny.py", "b/tiny.py")):
        assert started(script, tmp_path, SLURM_ARRAY_TASK_ID=str(task))[0] == name


def test_every_file_has_a_database_of_its_own_however_its_path_is_written(tmp_path):
    """Jobs are submitted one by one too: two of them must not write into one database."""
    odd = ("a b/study.py", "50%/study.py", "%41/study.py", "A/study.py", "what?/study.py", "a#b/study.py", "Größe.py")
    files = ("study.py", "studies/study.py", "a/study.py", "b/study.py", "a-study.py", "studies/a/study.py", *odd)
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / file).touch()
    (tmp_path / "link.py").symlink_to("a/study.py")

    def database(study: str) -> Path:
        return sqlite_file(started(SCRIPT.read_text(), tmp_path, study)[2])

    found = [database(file) for file in files]
    assert len(set(found)) == len(files)
    assert {file.parent for file in found} == {tmp_path}
    assert [file.name for file in found[:3]] == ["mlflow-study.py.db", "mlflow-study.db", "mlflow-a,study.py.db"]
    assert database("study") == database("./studies/study.py") == found[1]
    for same in ("./a/study.py", "a//study.py", "b/../a/study.py", f"{tmp_path}/a/study.py", "link.py"):
        assert database(same) == found[2]
