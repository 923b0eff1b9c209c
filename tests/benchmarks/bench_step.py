"""Times a training step of each SUMix arm against the plain one, in turn, on the same batch.

    python tests/benchmarks/bench_step.py [--backbone resnet18] [--batch 100] [--rounds 15] [--give-back]

Prints a Markdown table: median milliseconds of a step (forward, backward, optimiser), and the median of the
ratios to the baseline's step of the same round. With ``--give-back`` the C library may give freed memory back to the
system after each step, as it does by default. On a GPU it times the GPU.
"""

import statistics

from recording import arguments, in_turn, ratios, record, run_on_noise, where

from trainables.device import memory

ARMS = {
    "baseline": {},
    "+ lam": {"sumix.lam": "learned"},
    "+ l_s": {"sumix.lam": "learned", "sumix.regulariser": "s"},
    "+ l_u": {"sumix.lam": "learned", "sumix.regulariser": "u"},
    "+ l_su": {"sumix.lam": "learned", "sumix.regulariser": "su"},
}


def main() -> None:
    parser = arguments(__doc__, backbone="resnet8", mixer="cutmix", batch=100, rounds=15)
    parser.add_argument("--give-back", action="store_true")
    given = parser.parse_args()
    if given.give_back:
        memory.keep_freed = lambda: None
    base = {"backbone": given.backbone, "mixer": given.mixer}
    runs = {arm: run_on_noise({**base, **changes}, given.batch) for arm, changes in ARMS.items()}
    steps = {arm: lambda run=run: run.train_epoch(1) for arm, run in runs.items()}
    seconds = in_turn(steps, given.rounds, warm_up=True)

    print(f"Training step, {given.backbone}, {given.mixer}, batch {given.batch} at 32x32, {where()}, ", end="")
    print(f"medians of {given.rounds} rounds\n\n| arm | ms a step | times the baseline |\n| --- | ---: | ---: |")
    for arm in ARMS:
        milliseconds = 1000 * statistics.median(seconds[arm])
        ratio = record(f"SUMix, {arm}: a step of {given.backbone} / plain", ratios(seconds, arm, "baseline"))
        print(f"| {arm} | {milliseconds:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
