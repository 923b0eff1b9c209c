"""Sentences on how a table's numbers were computed, where its error rate holds, and what more seeds would do."""

import math
import statistics
from collections.abc import Sequence

import pandas as pd

from analysis.statistics.family import Family
from analysis.statistics.power import POWER, seeds_needed
from analysis.statistics.sequential import DECISIVE, FIRST_LOOK
from analysis.statistics.significance import ALPHA, EXACT_UP_TO, FEWEST_PAIRS, RESAMPLES, mean_and_sd, smallest_p
from analysis.statistics.tables import LevelTable
from analysis.statistics.verdicts import EQUAL, GIVEN_UP, NO_BETTER, NO_WORSE
from analysis.words.captions import listed, span_text, unit
from mixlab.messages import counted

ALONE = "Nothing was compared: the baseline is the only arm."
MOST_PLANNED = 10  # arms of which a sentence says how many seeds they need
EVIDENCE = (
    "e: the largest evidence that there has been, the wealth of a bet on the sign of every difference. e (family): by "
    f"closed testing with their mean, weighted by how far the first {FIRST_LOOK} differences are from 0 and from the "
    f"others of their table. {GIVEN_UP.capitalize()}: the budget would not decide it even if the effect were one "
    "standard error larger than it is so far."
)
DRAWN = f"{RESAMPLES + 1:,} sign patterns"


def method_text(*levels: LevelTable) -> str:
    """Return how mean, gain, interval and p were computed, where the error rate holds, and what a win is."""
    return " ".join([*method(*levels), *columns_text(*levels)])


def method(*levels: LevelTable) -> list[str]:
    """Return the sentences of :func:`method_text` without which nobody could believe a table."""
    level = levels[0]
    points = f", in {unit(level.declared)}" if level.declared.unit else ""
    reference = "the arm in the column 'against'" if level.against else repr(level.baseline)
    one_seed = _is_one_seed(levels)
    if not any(each.comparisons for each in levels):
        return ["One seed, so no spread." if one_seed else "Mean ± sd over seeds."]
    if one_seed:
        lacks = "no interval" if level.family.budget else "neither an interval nor a p that could tell"
        gain = f"Gain: arm minus {reference} with the same seed{points}; one pair has {lacks}."
        lines = [f"One seed, so no spread. {gain}"]
    else:
        stopped = "; it takes the seeds for a number fixed beforehand" if level.family.budget else ""
        lines = [
            f"Mean ± sd over seeds. Gain: arm minus {reference}, paired by seed{points}, with the paired t interval "
            f"(95 %, each arm by itself{stopped})."
        ]
    if level.family.budget:
        lines.append(
            f"Seeds were added until a comparison was decided, at most {level.family.budget}, so no p holds. One is "
            f"decided when its e (family), corrected for {family_text(levels)}, reaches {DECISIVE:.0f}, whenever one "
            "looks."
        )
    elif not one_seed:
        lines.append(_fixed_rule(levels))
    return lines + _elsewhere(level.family)


def columns_text(*levels: LevelTable) -> list[str]:
    """Return the other sentences of :func:`method_text`, which explain columns and verdicts."""
    level = levels[0]
    if not any(each.comparisons for each in levels):
        return []
    lines = [*([EVIDENCE] if level.family.budget else []), *_delta_rule(levels)]
    if level.against:
        interval = "" if _is_one_seed(levels) else " with its paired t interval"
        lines.append(f"Over {level.baseline}: the gain over {level.baseline!r}{interval}; it is not tested.")
    if level.controls:
        names = ", ".join(map(repr, level.controls))
        what = f"Controls: {names}, which show" if len(level.controls) > 1 else f"Control: {names}, which shows"
        lines.append(f"{what} what other arms change besides what they are named for.")
    return lines


def _is_one_seed(levels: Sequence[LevelTable]) -> bool:
    return max(int(each.table["n"].max()) for each in levels) == 1


def _fixed_rule(levels: Sequence[LevelTable]) -> str:
    pairs = max(int(each.table["pairs"].max()) for each in levels)
    seeds = max(each.family.seeds for each in levels)
    higher = levels[0].declared.higher_is_better
    wins = f"A win is a gain {'above' if higher else 'below'} zero with p (family) < {ALPHA}."
    if higher is None:
        wins = "The metric does not declare which direction is better, so nothing is a win."
    return (
        f"p: {sign_flip_text(pairs)} of one comparison. p (family): corrected for {family_text(levels)} by "
        f"{correction_text(seeds)}. {wins} {earlier_looks(levels[0].family)}"
    ).rstrip()


def sign_flip_text(pairs: int) -> str:
    """Return the test of one comparison of so many pairs."""
    return "exact sign-flip test" if pairs <= EXACT_UP_TO else f"sign-flip test ({DRAWN})"


def correction_text(seeds: int) -> str:
    """Return the correction of a family of so many seeds."""
    return f"step-down max-T with joint sign flips ({'exact' if seeds <= EXACT_UP_TO else DRAWN})"


def earlier_looks(family: Family) -> str:
    """Return the sentence about earlier tables with other numbers of seeds, of which p knows nothing; empty if none."""
    earlier = [f"a table of {counted(seeds, 'seed')}" for seeds in family.looks]
    if family.was_sequential:
        earlier.append("seeds that were added until every comparison was decided")
    if not earlier:
        return ""
    return f"Looked at before: {', '.join(earlier)}. p holds only if the present seeds had been chosen by then."


def _elsewhere(family: Family) -> list[str]:
    """Return the sentence about comparisons among which those of this table may have been chosen."""
    lines, letter = [], "e" if family.budget else "p"
    if family.elsewhere:
        more = counted(family.elsewhere, "more comparison")
        lines.append(
            f"Other tables of the study made {more} with these runs, for which {letter} (family) is not corrected."
        )
    named = [f"The study's own metric is {family.own_metric}"] if family.own_metric else []
    if family.earlier_metrics:
        named.append(f"Earlier tables of the study compared {listed(family.earlier_metrics)}")
    lines += [f"{words}; {letter} (family) is not corrected for a choice of metric." for words in named]
    if family.other_family:
        held = f"{letter} (family) holds only if they did not suggest this one"
        lines.append(f"Earlier tables of the study had another family: {held}.")
    return lines + searched_on(family)


def searched_on(family: Family) -> list[str]:
    """Return the sentence about the confirmations after whose results the search went on, so that it may test again."""
    if not family.searched_on:
        return []
    confirmed, trials = counted(len(family.searched_on), "confirmation"), listed(list(map(str, family.searched_on)))
    said = f"The search went on after {confirmed} had results (the best of {trials} trials)"
    if not family.other_winners:
        return [f"{said}: the winners have stayed the same, so nothing else has been tested."]
    sets, letter = family.other_winners + 1, "e" if family.budget else "p"
    seeds = ", with seeds in common" if family.shared_seeds else ""
    return [
        f"{said}, so this is not the first test: {sets} sets of winners have been confirmed{seeds}. {letter} (family) "
        f"is not corrected for that: a claim by chance is up to {sets} times as likely."
    ]


def _delta_rule(levels: Sequence[LevelTable]) -> list[str]:
    """Return the sentence that says what delta is, where a verdict of these tables speaks of it."""
    verdicts = {text for level in levels for text in level.table["verdict"]}
    delta = levels[0].family.delta
    if delta is None or not verdicts & {EQUAL, NO_WORSE, NO_BETTER}:
        return []
    how = "one-sided e (family)" if levels[0].family.budget else "one-sided p (family)"
    said = [f"Delta is {delta:g}, from the study's file; a verdict about it is by its own {how}."]
    if levels[0].family.other_delta:
        said.append(
            "Earlier tables of the study had another delta or none: it holds only if they did not suggest this one."
        )
    return said


def family_text(levels: Sequence[LevelTable]) -> str:
    """Return the comparisons over which one error rate holds, in words."""
    family = levels[0].family
    # Where more seeds may follow, a comparison that has none yet counts as well.
    counts = [each.planned if each.budget else each.comparisons for each in (level.family for level in levels)]
    if family.scope == "study":
        few = {1: "1 comparison", 2: "both comparisons"}
        return f"{few.get(counts[0], f'all {counts[0]} comparisons')} of the study"
    many = counted(span_text(count for count in counts if count), "comparison")
    loose = f"; over the {family.tables} tables of the study the error rate is not controlled"
    return f"the {many} of a table alone (as the study's file says{loose if family.tables > 1 else ''})"


def too_few_seeds(level: LevelTable) -> str | None:
    """Return the sentence that no gain of this table could be claimed, whatever its size; None if one could."""
    pairs = int(level.table["pairs"].max())
    if len(level.table) == 1 or level.family.budget:
        return None
    if level.comparisons == 0:
        return "No arm has a seed in common with what it is compared with: no gain can be computed."
    if pairs >= FEWEST_PAIRS:
        return None
    return (
        f"{counted(pairs, 'seed')} cannot reach p < {ALPHA} (smallest possible p is {smallest_p(pairs):.3g}): too "
        f"few seeds to tell; at least {FEWEST_PAIRS} seeds would be needed."
    )


def pairing_text(level: LevelTable) -> str | None:
    """Return the worth of pairing by seed: the spread of the differences against that of unpaired ones.

    Both are medians over the comparisons with at least three pairs and arms that vary; None where there is none.
    """
    paired, unpaired = [], []
    for arm, differences in level.differences.items():
        spread = math.hypot(*level.table["sd"][[arm, level.reference(arm)]])
        if len(differences) >= 3 and spread > 0:
            paired.append(mean_and_sd(differences)[1])
            unpaired.append(spread)
    if not paired:
        return None
    ratio = statistics.median(paired) / statistics.median(unpaired)
    alike = ratio < 1e-9  # the differences are equal but for rounding
    worth = "" if alike else f", so they would need {float(f'{1 / ratio**2:.2g}'):g} times as many seeds"
    return (
        f"Pairing by seed: the sd of a difference is {0 if alike else statistics.median(paired):.3g} (median), that of "
        f"unpaired runs would be {statistics.median(unpaired):.3g}{worth}."
    )


def power_table(level: LevelTable) -> pd.DataFrame:
    """Return for every arm but the baseline the seeds that would show its difference if it were real and as observed.

    The columns are ``pairs``, ``gain``, ``sd`` (of the differences) and ``answer``.
    """
    rows = {}
    for arm, differences in level.differences.items():
        answer = "2 to know its spread"
        if len(differences) > 1:
            seeds = seeds_needed(differences, level.family.planned)
            answer = "over 100,000" if seeds is None else str(seeds)
        rows[arm] = (len(differences), *mean_and_sd(differences), answer)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["pairs", "gain", "sd", "answer"])


def power_heading(*levels: LevelTable) -> str:
    """Return a heading that explains the numbers of :func:`power_table`, of which each is over its own family."""
    family, planned = levels[0].family, span_text(level.family.planned for level in levels)
    of_table = " of a table" if family.scope == "table" and family.tables > 1 else ""
    fixed = ", their number fixed beforehand," if family.budget else ""
    return (
        f"Seeds for {POWER * 100:.0f} % power over {counted(planned, 'comparison')}{of_table}{fixed} if the gains so "
        "far are real (rough, as their spread is)"
    )


def power_text(level: LevelTable) -> str:
    """Return the plan as a sentence; of many arms, it names those that need the fewest seeds."""
    plan, left_out = power_table(level), ""
    if len(plan) > MOST_PLANNED:
        left_out = f" (of {len(plan)} arms, the {MOST_PLANNED} that need the fewest)"
        effects = (plan["gain"] / plan["sd"]).abs()
        plan = plan.loc[effects.sort_values(ascending=False, kind="stable").index[:MOST_PLANNED]]
    named = ", ".join(f"{arm}: {answer}" for arm, answer in plan["answer"].items())
    return f"{power_heading(level)}: {named}{left_out}."
