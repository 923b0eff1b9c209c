"""Runs every benchmark in about 20 minutes on two quiet cores, and writes what they found.

    python tests/benchmarks [--only step,mixers] [--out results/bench.json] [--page docs/performance.md]

Writes one JSON file with the machine, the versions, and every measurement with its spread; puts the measurements into
the page between its two comments, and draws next to it how Mixlab stands against others. A benchmark that fails is
named, and the others go on. The one of a GPU says so where there is none, and so does that of released code.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import psutil
from matplotlib.ticker import LogLocator, NullFormatter
from recording import RECORD
from tabulate import tabulate

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
LIMIT, GRACE = 360, 30  # seconds of a benchmark, and to end itself after that
# Every benchmark and the size that it has here.
SIZES: dict[str, str] = {
    "step": "--rounds 9",
    "mixers": "",
    "mixer_parts": "",
    "released": "",
    "learned_masks": "--batch 50 --rounds 5",
    "profile": "",
    "data": "",
    "streaming": "--images 2000",
    "evaluate": "--images 500 --rounds 3",
    "backbones": "--backbones resnet18,resnet50,convnext_tiny_cifar --rounds 5",
    "epoch": "",
    "memory": "--trials 20",
    "study": "",
    "orchestration": "--trials 8 --seconds 5",
    "events": "--trials 400",
    "claims": "",
    "table": "",
    "error_rates": "--studies 200 --power-studies 100",
    "sequential": "--studies 200 --races 20",
    "racing": "--searches 10",
    "gpu": "",
}
VERSIONS = ("torch", "torchvision", "kornia", "timm", "ray", "mlflow", "optuna", "numpy")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", type=lambda text: text.split(","), default=list(SIZES), help="comma-separated")
    options.add_argument("--out", type=Path, default=ROOT / "results" / "bench.json")
    options.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    given = options.parse_args()
    if unknown := set(given.only) - SIZES.keys():
        options.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(SIZES)}")
    if not given.page.exists():
        options.error(f"--page {str(given.page)!r} does not exist; it needs the lines {BEGIN} and {END}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    lines = given.out.with_suffix(".jsonl")
    lines.write_text("")
    seconds = {name: run(name, lines) for name in given.only}
    found = {
        "machine": machine(),
        "seconds": seconds,
        "measurements": [json.loads(line) for line in lines.read_text().splitlines()],
    }
    given.out.write_text(json.dumps(found, indent=1))
    write_page(found, given.page)
    failed = [name for name, spent in seconds.items() if spent is None]
    print(f"\n{sum(filter(None, seconds.values())) / 60:.0f} minutes in all; see {given.out} and {given.page}")
    if failed:
        print(f"failed, or took more than {LIMIT} s: {', '.join(failed)}")
    return bool(failed)


def run(name: str, lines: Path) -> float | None:
    """Run a benchmark, which appends to ``lines``; return its seconds, or None if it failed."""
    print(f"\n## {name}\n", flush=True)
    command = [sys.executable, str(FOLDER / f"bench_{name}.py"), *SIZES[name].split()]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, RECORD: str(lines.absolute())})
    try:
        return time.perf_counter() - start if process.wait(LIMIT) == 0 else None
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # so that it ends the clusters and servers that it has started
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
        return None


def machine() -> dict[str, Any]:
    """Return the hardware and the versions that the figures depend on."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line), "")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_at_the_end": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "commit": commit,
        "date": time.strftime("%Y-%m-%d"),
    }


def write_page(found: dict[str, Any], page: Path) -> None:
    """Put the table between the comments of ``page``, and draw the ratios next to it."""
    rows = []
    for of in found["measurements"]:
        spread = f"{number(of['low'], '')} to {number(of['high'], '')}" if of["n"] > 1 else ""
        name = of["benchmark"].removeprefix("bench_")
        rows.append((name, of["name"], number(of["median"], of["unit"]), spread, of["n"]))
    at = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in at["versions"].items())
    words = f"{at['processor']}, {at['cores']} cores, Python {at['python']}, {versions}; commit {at['commit'][:12]}"
    words += f", {at['date']}. No GPU was used."
    head = ("benchmark", "what", "median", "from, to", "rounds")
    text = page.read_text()
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    table = tabulate(rows, head, "github", disable_numparse=True)
    page.write_text(f"{before}{BEGIN}\n{words}\n\n{table}\n{after}")
    draw([of for of in found["measurements"] if against_others(of)], page.with_suffix(".png"))


def against_others(measured: dict[str, Any]) -> bool:
    """Return whether this is the time or speed of something that is not Mixlab's, and ours."""
    return measured["name"].endswith("/ ours") or "DataLoader" in measured["name"]


def number(value: float, unit: str) -> str:
    """Return a value of three digits with its unit."""
    digits = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def draw(ratios: list[dict[str, Any]], file: Path) -> None:
    """Draw the ratios with their spread on a logarithmic axis, the first at the top."""
    figure, axes = plt.subplots(figsize=(8, 1 + 0.2 * len(ratios)))
    places = range(len(ratios), 0, -1)
    for place, of in zip(places, ratios, strict=True):
        axes.plot([of["low"], of["high"]], [place, place], color="0.7", linewidth=3)
        axes.plot(of["median"], place, "o", color="black", markersize=4)
    axes.axvline(1, color="0.5", linewidth=0.8)
    axes.set(xscale="log", title="Against others: right of the line, Mixlab is faster")
    axes.set_xlabel("times (median of the rounds; bar from the least to the greatest)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(list(places), [of["name"] for of in ratios], fontsize=7)
    axes.margins(y=0.02)
    figure.savefig(file, dpi=150, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
