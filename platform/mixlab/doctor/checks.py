"""Judges the facts of every machine, by pure functions: each finding says what is wrong, and how to fix it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mixlab.doctor.facts import Facts, Question
from mixlab.messages import counted
from mixlab.passwords import shown
from mixlab.processes import GONE_SECONDS

OK, WARNING, RED = "ok", "warning", "red"

# Drivers of a search that share a storage take a beat for one of a moment ago if it is no older than GONE_SECONDS.
SKEW_RED, SKEW_WARNING = GONE_SECONDS / 2, 2.0  # seconds
DISK_RED_MIB, DISK_WARNING_MIB = 2 * 1024, 10 * 1024
DISK_WARNING_SHARE = 0.05  # the least free share of a disk on which Ray still spills objects
TRIAL_MIB = 1024  # the memory of a small trial, most of it torch
SHM_MIB = 512
TEMPORARY_FIX = "free some, or set TMPDIR to a folder of a larger disk"
RAY_DISK_FIX = "free some, or give Ray a folder of a larger disk by RAY_TMPDIR, or by `ray start --temp-dir`"

FIX_VERSIONS = "install the same everywhere: pip install -c constraints.txt, or one image on every node"


@dataclass(frozen=True)
class Finding:
    """The result of a check for one machine or for all of them."""

    check: str
    level: str  # ok, warning or red
    text: str
    fix: str = ""


Found = Iterator[tuple[str, ...]]  # the level, text and fix of every fault; last, the level and text if there is none


def judge(asked: Question, machines: Sequence[Facts]) -> list[Finding]:
    """Return at least one finding from each check. The first of ``machines`` is the driver."""
    findings = []
    for name, find in CHECKS.items():
        *faults, good = find(asked, machines)
        findings += [Finding(name, *found) for found in faults or [good]]
    return findings


def check_versions(asked: Question, machines: Sequence[Facts]) -> Found:
    """Find red for a machine that differs from the driver."""
    driver = machines[0]
    for facts in machines[1:]:
        names = [name for name in driver.versions if facts.versions.get(name, "") != driver.versions[name]]
        # Our own package travels with the study: a node need not have it.
        names = [name for name in names if name != "mixlab" or name in facts.versions]
        for name in names:
            its = facts.versions.get(name, "not at all")
            yield RED, f"{facts.node} has {name} {its}, the driver {driver.versions[name]}", FIX_VERSIONS
        for what in ("commit", "constraints"):
            its, ours = getattr(facts, what), getattr(driver, what)
            if its != ours:
                text = f"{facts.node} has {what} {its[:12] or 'of no image'}, the driver {ours[:12] or 'of no image'}"
                yield WARNING, text, "run one image on every node and in the driver"
    same = ", ".join(f"{name} {number}" for name, number in driver.versions.items())
    yield OK, same + everywhere(machines)


def check_gpus(asked: Question, machines: Sequence[Facts]) -> Found:
    """Find red where torch or Ray does not see the GPUs that a machine has."""
    for facts in machines:
        have, usable = len(facts.gpus.names), facts.gpus.usable
        if facts.gpus.fault:
            fix = "restart that machine if its driver was updated, else install the driver again"
            yield WARNING, f"nvidia-smi fails on {facts.node}: {facts.gpus.fault}", fix
        if usable < have:
            text = f"{facts.node} has {counted(have, 'GPU')}, but torch can use {usable} (driver {facts.gpus.driver})"
            fix = f"install a driver for CUDA {facts.gpus.cuda or '?'}; in a container start it with --gpus all"
            yield RED, text, fix
        elif facts.ray_gpus is not None and facts.ray_gpus != usable:
            text = f"{facts.node} has {counted(usable, 'GPU')}, but Ray counts {facts.ray_gpus:g}"
            fix = f"start that node again with `ray start --num-gpus {usable}`"
            yield RED if facts.ray_gpus > usable else WARNING, text, fix
    kinds = {(name, facts.gpus.driver) for facts in machines for name in facts.gpus.names}
    if len(kinds) > 1:
        text = "not all alike: " + ", ".join(sorted(f"{name} (driver {driver})" for name, driver in kinds))
        yield WARNING, text, "expect small differences between runs of the same seed"
    count = sum(facts.gpus.usable for facts in _training_machines(machines))
    yield OK, f"{count} usable" if count else "none: trials run on processors"


def check_dataset(asked: Question, machines: Sequence[Facts]) -> Found:
    """Find red where a machine that trains cannot read the data set."""
    if asked.dataset is None:
        yield OK, "not looked for: --dataset names one"
        return
    for facts in _training_machines(machines):
        if facts.dataset:
            fix = f"put it under {asked.data_root} there, or name another folder with --data-root"
            yield RED, f"{facts.node}: {facts.dataset}", fix
    where = ", wherever trials run" if len(machines) > 1 else ""  # the driver's machine may be none of these
    yield OK, f"{asked.dataset} under {asked.data_root}{where}"


def check_storage(asked: Question, machines: Sequence[Facts]) -> Found:
    """Find red where a machine cannot write, or writes to a folder of its own."""
    for facts in machines:
        if facts.storage:
            text = f"{facts.node} cannot write {shown(asked.storage)}: {facts.storage}"
            yield RED, text, "give that user write access, or another --storage"
        elif not facts.sees_marker:
            text = f"{facts.node} has a {shown(asked.storage)} of its own, not the driver's"
            fix = "give --storage a folder that every machine mounts, or a URI such as s3://BUCKET/results"
            yield RED, text, fix
    yield OK, f"{shown(asked.storage)} can be written{everywhere(machines)}"


def check_clocks(asked: Question, machines: Sequence[Facts]) -> Found:
    """Find red where a clock differs from the driver's by a minute."""
    for facts in machines:
        skew = abs(facts.clock_skew) - facts.clock_error
        if skew > SKEW_WARNING:
            side = "ahead of" if facts.clock_skew > 0 else "behind"
            text = f"{facts.node} is {abs(facts.clock_skew):.0f} s {side} the driver"
            level = RED if skew > SKEW_RED else WARNING
            yield level, text, "run a time service there, such as chrony"
    worst = max(abs(facts.clock_skew) + facts.clock_error for facts in machines)
    yield OK, f"within {max(worst, 0.1):.1f} s of the driver's"


def check_disk(asked: Question, machines: Sequence[Facts]) -> Found:
    """Look at the disks of Ray's files, of temporary ones and of the driver's storage: red where one is nearly full.

    On a cluster the driver's machine is one of the nodes.
    """
    nodes = _training_machines(machines)
    use = [(facts, facts.ray, "Ray keeps its files", RAY_DISK_FIX) for facts in nodes]
    use += [(f, f.temporary, "a trial writes checkpoints first", TEMPORARY_FIX) for f in nodes if f.temporary != f.ray]
    if machines[0].storage_disk is not None:
        use.append(
            (machines[0], machines[0].storage_disk, f"{asked.storage} is", "free some, or give another --storage")
        )
    for facts, disk, what, fix in use:
        free, share = disk.free_mib, disk.free_mib / max(disk.mib, 1)
        if free < DISK_WARNING_MIB or (disk == facts.ray and share < DISK_WARNING_SHARE):
            level = RED if free < DISK_RED_MIB else WARNING
            text = f"{facts.node} has {free / 1024:.1f} GiB free ({100 * share:.0f} %) where {what}"
            yield level, text, fix
    least = min(disk.free_mib for _, disk, _, _ in use)
    yield OK, f"{least / 1024:.0f} GiB free or more{everywhere(machines)}"


def check_load(asked: Question, machines: Sequence[Facts]) -> Found:
    """Warn where other work already keeps every processor busy: trials take longer than estimated."""
    fix = "wait for it, end it, or give a trial more processors with --cpus-per-trial, so that fewer run at a time"
    for facts in machines:
        if facts.load > facts.cpus:
            yield WARNING, f"{facts.node} has a load of {facts.load:.1f} on {counted(facts.cpus, 'processor')}", fix
    most = 100 * max(facts.load / facts.cpus for facts in machines)
    yield OK, f"at most {most:.0f} % of the processors are busy{everywhere(machines)}"


def check_memory(asked: Question, machines: Sequence[Facts]) -> Found:
    """Find red where not one trial fits, and a warning where fewer fit than there are processors."""
    for facts in machines:
        free = facts.memory_free_mib
        if free < TRIAL_MIB * facts.cpus:
            text = f"{facts.node} has {free / 1024:.1f} GiB free for {counted(facts.cpus, 'processor')}"
            if free < TRIAL_MIB:
                yield RED, text, "end what else runs there, or raise the container's limit"
            else:
                cpus = -(-TRIAL_MIB * facts.cpus // free)
                yield WARNING, text, f"give a trial more of them: --cpus-per-trial {cpus}"
        if facts.shm_mib < SHM_MIB:
            text = f"{facts.node} has {facts.shm_mib} MiB in /dev/shm: Ray falls back to the disk"
            yield WARNING, text, "start the container with --shm-size 2g"
    least = min(facts.memory_free_mib for facts in machines)
    yield OK, f"{least / 1024:.1f} GiB free or more{everywhere(machines)}"


CHECKS: Mapping[str, Callable[[Question, Sequence[Facts]], Found]] = {
    "versions": check_versions,
    "GPUs": check_gpus,
    "data set": check_dataset,
    "storage": check_storage,
    "clocks": check_clocks,
    "disk": check_disk,
    "load": check_load,
    "memory": check_memory,
}


def _training_machines(machines: Sequence[Facts]) -> Sequence[Facts]:
    """Return the machines on which trials run: the nodes of a cluster, or else the driver's."""
    return machines[1:] or machines


def everywhere(machines: Sequence[Facts]) -> str:
    """Return on how many machines a finding holds, as the end of a sentence."""
    nodes = len(machines) - 1
    return f", on the driver and {counted(nodes, 'node')}" if nodes else ""
