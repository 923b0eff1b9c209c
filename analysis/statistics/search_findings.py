"""The claims that a search supports, and the warnings that its reader needs."""

from collections.abc import Iterator, Mapping, Sequence

from analysis.records.search_trials import SearchRecord, Tuned, position
from analysis.statistics.importance import Landscape, comparable, wanted
from analysis.statistics.significance import ALPHA, holm
from analysis.statistics.tables import LevelTable
from analysis.statistics.verdicts import DIFFERS, EQUAL, NO_BETTER, NO_WORSE, WIN, WORSE
from analysis.words.captions import listed, span_text
from analysis.words.conclusions import gain_texts
from analysis.words.method import searched_on
from analysis.words.notes import NOT_YET
from mixlab.messages import counted
from mixlab.spec.study import UNDECIDED
from mixlab.spec.trial import cell_name

BORDER = 0.02  # a share of the range, on its own scale
FAILED_SHARE = 0.25
TOLD_APART = {WIN: "is better than", WORSE: "is worse than", DIFFERS: "differs from"}  # by the verdict
WITHIN_DELTA = {EQUAL: "is equal to", NO_WORSE: "is no worse than", NO_BETTER: "is no better than"}


def claims(search: SearchRecord, landscapes: dict[str, Landscape], confirmed: Sequence[LevelTable]) -> list[str]:
    """Return the sentences that the data support: what the confirmation found, and arms with parameters that matter."""
    p = explained(landscapes)
    matters = [_parameters(arm.name, landscapes[arm.name], p[arm.name]) for arm in search.arms if p[arm.name] < ALPHA]
    return [sentence for level in confirmed for sentence in _differences(search, level)] + matters


def _differences(search: SearchRecord, level: LevelTable) -> Iterator[str]:
    """Yield a sentence for each arm of a table that is told apart from its reference, or is as good."""
    where = f"{level.name}: " if level.levels else ""
    for arm, row in level.table[level.table["verdict"].isin([*TOLD_APART, *WITHIN_DELTA])].iterrows():
        gain, low, high = gain_texts(level, row)
        said = f"{arm} {(TOLD_APART | WITHIN_DELTA)[row['verdict']]} {level.reference(str(arm))}"
        within = f" within {level.family.delta:g}" if row["verdict"] in WITHIN_DELTA else ""
        tuned = _tuned(search, level, str(arm))
        yield f"{where}{said}{within}, {tuned}: {gain} (95 % interval {low} to {high})."


def _parameters(arm: str, seen: Landscape, p: float) -> str:
    """Return a sentence about an arm with parameters that matter, and about the one that matters most, if one does."""
    table = seen.importance
    said, most = f"{table.index[0]} is", ""
    if len(table) > 1:
        alone = table["low"].iloc[0] > table["high"].iloc[1]
        said = f"{listed(list(table.index))} are"
        most = f"; {table.index[0]} most" if alone else ", none clearly more than another"
    return f"In {arm} it matters how {said} set (p {p:.3f}, {seen.of.when}){most}."


def explained(landscapes: Mapping[str, Landscape]) -> dict[str, float]:
    """Return by arm the p that its parameters explain nothing, corrected for all arms by Holm's method."""
    p = holm([seen.p for seen in landscapes.values()])
    return dict(zip(landscapes, p.tolist(), strict=True))


def _tuned(search: SearchRecord, level: LevelTable, arm: str) -> str:
    """Return which of an arm and its reference the search has tuned: the space may have nothing for one of them."""
    pair = (arm, level.reference(arm))
    without = {each.name for each in search.arms if each.best is None or not each.best.params}
    tuned = [name for name in pair if cell_name(level.levels.values(), name) not in without]
    if len(tuned) == 2:
        return "both tuned"
    return f"of which only {tuned[0]} was tuned" if tuned else "neither tuned"


def cautions(search: SearchRecord, confirmed: Sequence[LevelTable]) -> list[str]:
    """Return the warnings that a reader needs: a best at the border, many failures, a budget that was too small."""
    found = []
    for arm in search.arms:
        found += _border(arm)
        counts, total = arm.counts(), len(arm.trials())
        if total > (most := search.plan.get("per_arm", total)):
            found.append(f"{arm.name}: its best is of {total} trials, where the budget gives every arm {most}.")
        ended = total - counts["unfinished"]
        if ended and counts["failed"] >= FAILED_SHARE * ended:
            failed = f"{counts['failed']} of {counted(ended, 'trial')} failed"
            found.append(f"{arm.name}: {failed}; the space may reach where training diverges.")
        if left := counts["unfinished"]:
            found.append(f"{arm.name}: {counted(left, 'trial')} {'has' if left == 1 else 'have'} not ended.")
    again = searched_on(confirmed[0].family) if confirmed else []
    return [*again, *found, *_too_few(search.arms), *_too_small(search, confirmed)]


def _too_few(arms: Sequence[Tuned]) -> list[str]:
    """Return one sentence about all arms whose trials are too few, for each number that would be needed."""
    short: dict[int, dict[str, int]] = {}  # by the number needed, the trials of each arm
    for arm in arms:
        trials = comparable(arm).trials
        if len(trials) < (least := wanted(arm, trials)):
            short.setdefault(least, {})[arm.name] = len(trials)
    return [
        f"{', '.join(counts)}: {counted(span_text(counts.values()), 'trial')}{' each' if len(counts) > 1 else ''} "
        f"can be compared, too few to say how the parameters act; at least {least} would be needed."
        for least, counts in short.items()
    ]


def _too_small(search: SearchRecord, confirmed: Sequence[LevelTable]) -> list[str]:
    if any(level.family.unfinished for level in confirmed):
        return [NOT_YET]
    if len(search.arms) < 2 or not any(arm.best for arm in search.arms):
        return []
    if not confirmed:
        return ["No winner has been confirmed yet: the search's values are each the best of many, and so too good."]
    verdicts = {verdict for level in confirmed for verdict in level.table["verdict"] if verdict}
    going_on = UNDECIDED in verdicts and confirmed[0].family.budget is not None  # with seeds until all is decided
    if not verdicts or verdicts & {*TOLD_APART, EQUAL, NO_BETTER} or going_on:
        return []
    seeds = max(int(level.table["pairs"].max()) for level in confirmed)
    reference = "what it is compared with" if confirmed[0].against else confirmed[0].baseline
    return [
        f"The budget was too small to tell the arms apart, if they differ at all: on {counted(seeds, 'fresh seed')} no "
        f"arm differs from {reference} beyond chance. Only more seeds can settle it, for each value of the search is "
        "the best of many."
    ]


def _border(arm: Tuned) -> list[str]:
    if arm.best is None:
        return [f"{arm.name}: no trial was completed."]
    found = []
    for name, value in arm.best.params.items():
        spec, drawn = arm.space[name], arm.best.distributions[name]  # whose steps need not reach the high end
        where = 0.5 if spec["kind"] == "Choice" else position({**spec, "high": drawn.high}, value)
        if not BORDER < where < 1 - BORDER:
            end = "low" if where <= BORDER else "high"
            found.append(
                f"{arm.name}: the best {name}, {value:.4g}, lies on the border of the space, whose {end} end is "
                f"{spec[end]:g}: the optimum may be beyond."
            )
    return found
