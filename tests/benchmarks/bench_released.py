"""Times PuzzleMix and Co-Mixup against the code that their authors released, in turn, on one thread.

    git clone https://github.com/snu-mllab/PuzzleMix data/released/PuzzleMix
    git clone https://github.com/snu-mllab/Co-Mixup data/released/Co-Mixup
    pip install gco-wrapper
    python tests/benchmarks/bench_released.py [--folder data/released] [--rounds 5]

Prints a Markdown table of the milliseconds in which each mixes a batch of 100 CIFAR images whose saliency is known, by
the released settings for CIFAR-100; the passes that find the saliency are the same for both. PuzzleMix draws the grid
of a batch, so that each grid is a row. The last column compares the masks: the mean energy of ours as a multiple of
that of the released code's solver, graph cuts, on the same costs; less is better. The other steps of Co-Mixup depend on
its draws, so that its masks cannot be compared one by one. Half a minute.
"""

import importlib.util
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from recording import arguments, in_turn, ratios, record, show
from torch import Generator, Tensor

from trainables.mixers.comixup import comixup
from trainables.mixers.grid_labelling import Energy, minimise
from trainables.mixers.mixed import beta, partners
from trainables.mixers.puzzlemix import puzzle_energy, puzzlemix

BATCH, SIDE, CLASSES = 100, 32, 100
GRIDS = (2, 4, 8, 16)


def main() -> None:
    given = arguments(__doc__, folder="data/released", rounds=5).parse_args()
    try:
        import gco
    except ImportError:
        return print("without the released code, which needs gco-wrapper: pip install gco-wrapper")
    folder = Path(given.folder)
    files = [folder / "PuzzleMix" / "mixup.py", folder / "Co-Mixup" / "mixup_parallel.py"]
    if missing := [str(file.parent) for file in files if not file.exists()]:
        return print(f"without the released code: {' and '.join(missing)} not found; see --help")

    torch.set_num_threads(1)
    images, saliency = smooth(3, seed=0), smooth(1, seed=1)[:, 0] ** 4
    rows = []
    for name, ours, released, solve in candidates(images, saliency, load(files[0]), load(files[1]), gco):
        seconds = in_turn({"ours": ours, "released": released}, given.rounds, warm_up=True)
        times = record(f"{name}, released / ours", ratios(seconds, "released", "ours"))
        energy = f"{record(f'{name}, energy of the masks, ours / released', [solve()]):.4f}" if solve else ""
        spent = (f"{1000 * statistics.median(seconds[who]):.0f}" for who in ("ours", "released"))
        rows.append((name, *spent, f"{times:.2f}", energy))
    columns = ("mixer", "ours, ms", "released, ms", "released / ours", "energy, ours / released")
    show(f"Batches of {BATCH} images, {given.rounds} rounds", columns, rows)


def smooth(channels: int, seed: int) -> Tensor:
    """Return noise (B, channels, H, W) in [0, 1] that is as smooth as photographs are."""
    coarse = torch.rand(BATCH, channels, SIDE // 4, SIDE // 4, generator=Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)


def load(file: Path) -> ModuleType:
    """Return the module, which may import others of its folder."""
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(f"released_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.pop(0)
    return module


Row = tuple[str, Callable[[], object], Callable[[], object], Callable[[], float] | None]


def candidates(
    images: Tensor, saliency: Tensor, their_puzzlemix: ModuleType, their_comixup: ModuleType, gco: ModuleType
) -> list[Row]:
    """Return each row's name, the two steps to time, and what compares their masks."""
    rng, numbers = Generator().manual_seed(0), np.random.default_rng(0)

    def their_puzzle(grid: int) -> object:
        return their_puzzlemix.mixup_graph(
            images.clone(), saliency, numbers.permutation(BATCH), block_num=grid, alpha=numbers.beta(1, 1),
            beta=1.2, gamma=0.5, eta=0.2, neigh_size=4, n_labels=3, mean=0.0, std=1.0, transport=True, t_eps=0.8,
            t_size=4, device="cpu",
        )  # fmt: skip

    def puzzle_row(grid: int) -> Row:
        return (
            f"PuzzleMix, grid {grid}x{grid}",
            lambda: puzzlemix(images, rng, blocks=(grid,), saliency=saliency),
            lambda: their_puzzle(grid),
            lambda: energy_against_cuts(images, saliency, grid, gco),
        )

    settings = SimpleNamespace(
        m_block_num=4, m_part=20, m_beta=0.32, m_gamma=1.0, m_thres=0.83, m_thres_type="hard", m_eta=0.05,
        mixup_alpha=2.0, m_omega=0.001, set_resolve=True, m_niter=4,
    )  # fmt: skip
    labels, likeness = torch.eye(BATCH, CLASSES), torch.eye(20)

    def their_groups() -> object:
        groups = zip(images.split(20), labels.split(20), saliency.split(20), strict=True)
        return [
            their_comixup.mixup_process_worker(image, label, args=settings, sc=salient, A_dist=likeness)
            for image, label, salient in groups
        ]

    comixup_row: Row = ("Co-Mixup, groups of 20", lambda: comixup(images, rng, saliency=saliency), their_groups, None)
    return [*map(puzzle_row, GRIDS), comixup_row]


def energy_against_cuts(images: Tensor, saliency: Tensor, grid: int, gco: ModuleType) -> float:
    """Return the mean energy of the masks that ``minimise`` finds, as a multiple of that of graph cuts."""
    rng = Generator().manual_seed(2)
    partner, lam = partners(BATCH, rng), beta(1.0, BATCH, rng)
    energy = puzzle_energy(images, saliency, partner, lam, grid, (1.2, 0.5, 0.2), 3)
    rows = (Energy(*(of[b : b + 1] for of in energy[:3]), energy.penalty) for b in range(BATCH))
    cut = torch.stack([cut_by_swaps(row, gco) for row in rows])
    return (energy.of(minimise(energy)).mean() / energy.of(cut).mean()).item()


def cut_by_swaps(energy: Energy, gco: ModuleType) -> Tensor:
    """Return the labels (M, N) of one row's energy as the released code finds them: by alpha-beta swaps."""
    unary, vertical, horizontal = (of[0].numpy() for of in energy[:3])
    labels = gco.cut_grid_graph(unary, energy.penalty.numpy(), vertical, horizontal, algorithm="swap")
    return torch.from_numpy(labels).long().view(energy.unary.shape[1:3])


if __name__ == "__main__":
    main()
