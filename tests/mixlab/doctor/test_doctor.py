"""The doctor judges facts: each check is tried on machines that have one fault and no other."""

import platform
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from mixlab.doctor import __main__ as doctor
from mixlab.doctor import facts
from mixlab.doctor.checks import OK, RED, WARNING, Finding, judge
from mixlab.doctor.examination import judge_entry
from mixlab.doctor.facts import MIB, Disk, Facts, Gpus, Question, dataset_fault, free_memory
from tests.endings import refused

ASKED = Question("http://head:5000", "/shared/results", "/data", "cifar10", ".doctor-1")
H200 = Gpus(("NVIDIA H200",), "570.1", 1, "13.0")
DRIVER = Facts(
    node="driver",
    versions={"Python": "3.11.7", "ray": "2.60.0", "torch": "2.15.0", "mixlab": "0.1.0"},
    commit="",
    constraints="",
    cpus=4,
    gpus=Gpus(),
    load=0.5,
    memory_free_mib=12000,
    shm_mib=2000,
    temporary=Disk(200_000, 100_000),
    ray=Disk(200_000, 100_000),
    dataset="",
    storage="",
    sees_marker=True,
    storage_disk=Disk(200_000, 100_000),
)
NODE = replace(DRIVER, node="n1", gpus=H200, ray_gpus=1.0, clock_error=0.1)


def wrong(asked: Question = ASKED, **changes: Any) -> list[Finding]:
    """Return the findings about the second of two nodes, which differs from the first by ``changes``."""
    return wrong_with(DRIVER, NODE, replace(NODE, **{"node": "n2", **changes}), asked=asked)


def wrong_with(*facts: Facts, asked: Question = ASKED) -> list[Finding]:
    return [each for each in judge(asked, [*facts]) if each.level != OK]


def test_a_machine_and_a_cluster_that_are_well_get_one_good_line_a_check():
    alone = judge(ASKED, [DRIVER])
    assert [(each.check, each.level, each.text, each.fix) for each in alone] == [
        ("versions", OK, "Python 3.11.7, ray 2.60.0, torch 2.15.0, mixlab 0.1.0", ""),
        ("GPUs", OK, "none: trials run on processors", ""),
        ("data set", OK, "cifar10 under /data", ""),
        ("storage", OK, "/shared/results can be written", ""),
        ("clocks", OK, "within 0.1 s of the driver's", ""),
        ("disk", OK, "98 GiB free or more", ""),
        ("load", OK, "at most 12 % of the processors are busy", ""),
        ("memory", OK, "11.7 GiB free or more", ""),
    ]
    assert judge(replace(ASKED, dataset=None), [DRIVER])[2].text == "not looked for: --dataset names one"
    least = {"load": 3.0, "memory_free_mib": 8192, "temporary": Disk(200_000, 51_200)}
    nodes = [NODE, replace(NODE, node="n2", clock_skew=-1.25, **least)]
    everywhere = ", on the driver and 2 nodes"
    assert [each.text for each in judge(ASKED, [replace(DRIVER, gpus=H200), *nodes])] == [
        f"Python 3.11.7, ray 2.60.0, torch 2.15.0, mixlab 0.1.0{everywhere}",
        "2 usable",
        "cifar10 under /data, wherever trials run",
        f"/shared/results can be written{everywhere}",
        "within 1.4 s of the driver's",
        f"50 GiB free or more{everywhere}",
        f"at most 75 % of the processors are busy{everywhere}",
        f"8.0 GiB free or more{everywhere}",
    ]


@pytest.mark.parametrize(
    ("changes", "check", "level", "parts"),
    [
        ({"versions": {**NODE.versions, "Python": "3.11.8"}}, "versions", RED, ["3.11.8", "3.11.7", "constraints.txt"]),
        ({"versions": {**NODE.versions, "mixlab": "0.0.9"}}, "versions", RED, ["0.0.9", "0.1.0"]),
        ({"versions": {"Python": "3.11.7", "ray": "2.60.0"}}, "versions", RED, ["torch not at all", "2.15.0"]),
        ({"commit": "abcdef" * 6}, "versions", WARNING, ["commit abcdefabcdef", "of no image"]),
        ({"constraints": "abcdef" * 6}, "versions", WARNING, ["constraints abcdefabcdef", "of no image"]),
        ({"gpus": replace(H200, usable=0)}, "GPUs", RED, ["1 GPU,", "torch can use 0", "driver 570.1", "CUDA 13.0"]),
        ({"gpus": Gpus()}, "GPUs", RED, ["0 GPUs", "Ray counts 1", "--num-gpus 0"]),
        ({"gpus": Gpus(fault="mismatch"), "ray_gpus": 0.0}, "GPUs", WARNING, ["nvidia-smi fails on n2: mis"]),
        ({"ray_gpus": 0.0}, "GPUs", WARNING, ["1 GPU, but Ray counts 0", "--num-gpus 1"]),
        ({"gpus": replace(H200, driver="550.2")}, "GPUs", WARNING, ["550.2", "570.1", "not all alike"]),
        ({"dataset": "no file x"}, "data set", RED, ["no file x", "/data", "--data-root"]),
        ({"storage": "Permission denied"}, "storage", RED, ["/shared/results", "Permission denied"]),
        ({"sees_marker": False}, "storage", RED, ["of its own", "s3://"]),
        ({"clock_skew": -90.0}, "clocks", RED, ["is 90 s behind", "chrony"]),
        ({"clock_skew": 5.0}, "clocks", WARNING, ["5 s ahead of"]),
        ({"temporary": Disk(20_000, 1500)}, "disk", RED, ["1.5 GiB", "TMPDIR"]),
        ({"temporary": Disk(20_000, 1500), "ray": Disk(20_000, 1500)}, "disk", RED, ["1.5 GiB", "--temp-dir"]),
        ({"ray": Disk(2_000_000, 90_000)}, "disk", WARNING, ["(4 %)"]),  # Ray keeps small objects, spills no large ones
        ({"ray": Disk(100_000, 8_000)}, "disk", WARNING, ["7.8 GiB"]),
        ({"load": 5.2}, "load", WARNING, ["5.2 on 4 processors", "--cpus-per-trial"]),
        ({"load": 1.2, "cpus": 1}, "load", WARNING, ["1.2 on 1 processor"]),
        ({"memory_free_mib": 500}, "memory", RED, ["0.5 GiB", "limit"]),
        ({"memory_free_mib": 3000}, "memory", WARNING, ["2.9 GiB free for 4", "--cpus-per-trial 2"]),
        ({"shm_mib": 64}, "memory", WARNING, ["64 MiB", "--shm-size"]),
    ],
)
def test_one_thing_wrong_is_one_finding_that_names_the_node_and_the_fix(changes, check, level, parts):
    (finding,) = wrong(**changes)
    assert (finding.check, finding.level) == (check, level)
    assert finding.fix
    for part in (*parts, *([] if "alike" in finding.text else ["n2"])):
        assert part in f"{finding.text} {finding.fix}"


@pytest.mark.parametrize(
    "changes",
    [
        {"clock_skew": 30.0, "clock_error": 29.0},  # a slow answer does not mean a wrong clock
        {"temporary": Disk(2_000_000, 90_000)},  # full to 96 %, with room for thousands of checkpoints
        {"versions": {name: NODE.versions[name] for name in ("Python", "ray", "torch")}},  # ours travels with the study
        {"asked": replace(ASKED, dataset=None)},
    ],
)
def test_what_looks_like_a_fault_and_is_none(changes):
    assert wrong(**changes) == []


def test_a_full_disk_of_the_storage_is_named_by_the_storage_and_on_a_cluster_the_driver_needs_no_data_set():
    (finding,) = wrong_with(replace(DRIVER, storage_disk=Disk(9_000, 1_000)))
    assert (finding.check, finding.level) == ("disk", RED)
    assert "/shared/results" in finding.text
    assert "--storage" in finding.fix
    assert wrong_with(replace(DRIVER, storage_disk=None)) == []  # the storage is a bucket
    driver = replace(DRIVER, dataset="no file x")
    assert [each.check for each in wrong_with(driver)] == ["data set"]
    assert wrong_with(driver, NODE) == []


@pytest.mark.parametrize("changes", [{}, {"storage": "Access denied"}, {"sees_marker": False}])
def test_the_password_of_a_storage_is_not_shown(changes):
    bucket = replace(ASKED, storage="s3://me:secret@bucket")
    (storage,) = [each for each in judge(bucket, [replace(DRIVER, **changes)]) if each.check == "storage"]
    assert "s3://me:***@bucket" in storage.text


@pytest.mark.parametrize(
    ("ours", "wrong", "level", "part"),
    [
        ("", "set RAY_AUTH_TOKEN", OK, "asks for the token"),
        ("", "", RED, "lets anybody in"),
        ("no token was found", "", RED, "lets anybody in"),
        ("set RAY_AUTH_TOKEN", "set RAY_AUTH_TOKEN", RED, "refuses the driver's token"),
    ],
)
def test_a_cluster_is_entered_with_the_token_only(ours, wrong, level, part):
    (finding,) = judge_entry(ours, wrong)
    assert finding.level == level
    assert part in finding.text
    assert judge_entry("no answer", "no answer") == []


def test_the_facts_of_a_machine_are_its_own_in_mib(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(total=300 * MIB, free=20 * MIB + 1))
    monkeypatch.setattr(facts, "find_gpus", Gpus)  # of which torch would take seconds to tell
    found = facts.collect(replace(ASKED, storage=str(tmp_path), dataset=None))
    assert (found.temporary, found.ray, found.storage_disk) == (Disk(300, 20),) * 3
    assert found.shm_mib == (300 if Path("/dev/shm").exists() else 0)
    assert found.versions["Python"] == platform.python_version()


@pytest.mark.parametrize(("limit", "free"), [(str(32 * MIB), 25), (str(5 * MIB), 0), ("max", 1000)])
def test_what_a_container_has_read_of_files_counts_as_free(tmp_path, monkeypatch, limit, free):
    """The cache of a data set that was read would look like a container with hardly any memory free."""
    monkeypatch.setattr(facts, "CGROUP", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000 * MIB))
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text(str(30 * MIB))
    (tmp_path / "memory.stat").write_text(f"anon {7 * MIB}\ninactive_file {23 * MIB}\nactive_file 0\n")
    assert free_memory() == free


@pytest.mark.parametrize(
    ("rows", "slices", "seen", "names", "usable"),
    [
        ("[N/A]", [], 1, ("NVIDIA H200",), 1),
        ("[N/A]\nNVIDIA H200, 570.1, [N/A]", [], 1, ("NVIDIA H200", "NVIDIA H200"), 1),
        ("Enabled", ["3g.71gb", "1g.18gb"], 1, ("MIG 3g.71gb", "MIG 1g.18gb"), 2),
        ("Enabled", ["3g.71gb"], 0, ("MIG 3g.71gb",), 0),
    ],
)
def test_gpus_and_slices_of_them_are_counted(rows, slices, seen, names, usable, tmp_path, monkeypatch):
    """A program that gives the driver's answers stands in for ``nvidia-smi``."""
    program = tmp_path / "nvidia-smi"
    listed = "GPU 0: NVIDIA H200 (UUID: GPU-a)\n"
    listed += "".join(f"  MIG {each}     Device  {place}: (UUID: MIG-{place})\n" for place, each in enumerate(slices))
    program.write_text(f"#!/bin/sh\n[ $1 = -L ] && printf '{listed}' || echo 'NVIDIA H200, 570.1, {rows}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(facts, "COUNT_GPUS", f"import os; print(os.getenv('CUDA_VISIBLE_DEVICES', {seen}), '13.0')")
    assert facts.find_gpus() == Gpus(names, "570.1", usable, "13.0")


@pytest.mark.parametrize(
    ("device", "smi", "found"),
    [
        ("kfd", "", Gpus(usable=2, cuda="None")),
        ("none", "", Gpus()),
        ("none", "echo Driver/library version mismatch; exit 18", Gpus(fault="Driver/library version mismatch")),
    ],
)
def test_gpus_that_nvidia_smi_does_not_list_are_counted_by_torch(device, smi, found, tmp_path, monkeypatch):
    (tmp_path / "kfd").touch()
    if smi:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{smi}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    for variable in facts.HIDING:
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(facts, "GPU_DEVICES", (str(tmp_path / device),))
    monkeypatch.setattr(facts, "COUNT_GPUS", "import os; print(2 * ('_VISIBLE_' not in str(os.environ)), None)")
    assert facts.find_gpus() == found


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--dataset", "cifar11"], ["'cifar11'", "'cifar10'"]),
        (["--address", "somewhere"], ["'somewhere'", "HOST:PORT"]),
        (["--address", "127.0.0.1:9"], ["'127.0.0.1:9' (Connection refused by ", "ray start --head"]),
    ],
)
def test_bad_input_is_one_sentence(options, parts, tmp_path):
    with refused(*parts):
        doctor.main(["--storage", str(tmp_path), *options])


def test_this_machine_alone_is_examined_and_nothing_is_left_there(tmp_path, capsys):
    """The exit code is 1 if something is red, 0 if nothing is; this machine may be short of memory."""
    code = doctor.main(["--storage", str(tmp_path / "results")])
    lines = capsys.readouterr().out.splitlines()
    assert code == any(line.startswith("red") for line in lines)
    assert len(lines) >= 9
    assert dataset_fault(None, tmp_path) == ""
    assert "cifar" in dataset_fault("cifar10", tmp_path)
    assert not any(tmp_path.iterdir())  # looking fetches and leaves nothing
    (tmp_path / "file").write_text("")
    assert doctor.main(["--storage", str(tmp_path / "file" / "below")]) == 1
    assert "red     storage   driver cannot write" in capsys.readouterr().out
