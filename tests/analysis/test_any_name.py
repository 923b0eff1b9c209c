"""Any name of an arm, a factor or a level is refused in a sentence, or is right in every rendering and in MLflow."""

import io
import re
import sys
from collections.abc import Iterator
from typing import Any
from unicodedata import category

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from analysis.ablation_table import write_study_table
from analysis.records.runs import load_plan
from analysis.statistics.tables import level_tables
from analysis.words.cells import tidy
from analysis.words.latex import latex
from analysis.words.rendering import html_page, markdown, terminal_text
from mixlab import Arm, Study
from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from mixlab.spec.study_plan import study_plan
from tests.analysis.pages import Page
from tests.analysis.planned import planned_runs
from tests.toy import Toy

pytestmark = pytest.mark.slow

# All but those that are refused; hypothesis's own characters ask for a table that takes seconds to make.
LETTERS = st.integers(0, sys.maxunicode).map(chr).filter(lambda letter: category(letter) not in ("Cc", "Cs"))
NAMES = st.text(LETTERS | st.sampled_from("$%&_#{}[]|\\<>~^*`'\",;·\n\t /.=+"), min_size=1, max_size=8)
LATIN = "".join(map(chr, range(0xA1, 0x180)))
HARD = (
    *("it's 5%", "cost $5 or $6_", "[1] of 2", "two\nlines", "both ' and \"", "a, b; c"),
    *("x" * 300, "🦊 and λ", "_hidden", "*bold*", "# head", "a&amp;b", "tab\there", "Ωμέγα", "«Þ»", "ωλε → Ž", LATIN),
)
MANY = st.lists(NAMES, min_size=2, max_size=3, unique=True)
SAME_EVERY_TIME = settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def arrow() -> Iterator[None]:
    """Hold text as studies do, where pyarrow is installed."""
    with pd.option_context("mode.string_storage", "auto"):
        yield


def drawn_plan(arms: list[str], factor: str, levels: list[str]) -> dict[str, Any] | None:
    """Return the plan of a study with these names; None if one of them is refused, in one sentence."""
    train = complete(Toy())
    study = Study(
        name="toy",
        base={},
        arms=[Arm(name, {"number": number}) for number, name in enumerate(arms)],
        factors={factor: {level: {"level": number} for number, level in enumerate(levels)}},
        seeds=range(2),
    )
    try:
        trials = study.trials(train)
    except BadInput as error:
        sentence = str(error)
    else:
        return study_plan(study, trials, "paper", train)
    assert sentence.isprintable(), sentence
    return None


def one_line(name: str) -> str:
    return " ".join(name.split())


@settings(SAME_EVERY_TIME, max_examples=20)
@given(arms=MANY, factor=NAMES, levels=MANY)
@example(arms=["plain", *HARD], factor="it's 5%", levels=["two\nlines", "a, b; c"])
def test_any_name_is_right_in_every_rendering(arms, factor, levels):
    plan = drawn_plan(arms, factor, levels)
    if plan is None:
        return
    values = {(arm, seed): 70.0 + seed + number for number, arm in enumerate(arms) for seed in range(2)}
    tables = level_tables(planned_runs(plan, values), plan)
    assert [list(table.table.index) for table in tables] == [arms] * len(levels)

    said = terminal_text("toy", tables).replace("\n", " ")
    assert all(one_line(arm) in said for arm in arms if len(arm) < 300)
    rows = [line for line in markdown("toy", tables).splitlines() if line.startswith("|")]
    assert len(rows) == len(levels) * (len(arms) + 2)
    assert [row[0] for row in Page(html_page("toy", tables)).rows[1 : len(arms) + 1]] == [one_line(arm) for arm in arms]
    back = pd.read_csv(io.StringIO(tidy(tables).to_csv(index=False)), dtype=str, keep_default_na=False)
    assert list(back["arm"]) == arms * len(levels)
    assert list(dict.fromkeys(back[f"factor.{factor}"])) == levels
    text = latex("toy", tables)
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == len(levels) * (len(arms) + 1)
    assert not any(line.startswith("[") for line in body)  # LaTeX would take it for an option of the line before
    assert all(letter <= "ž" and (letter.isprintable() or letter == "\n") for letter in text)
    assert re.sub(r"\\[$]", "", text).count("$") % 2 == 0
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


@settings(SAME_EVERY_TIME, max_examples=1)
@given(arms=MANY, levels=MANY)
def test_any_name_comes_back_from_mlflow(track, tmp_path, arms, levels):
    plan = drawn_plan(arms, "size", levels)
    if plan is None:
        return
    study = track()
    study.add_plan(plan, plan_hash=str(hash(str(plan))))
    for trial in plan["trials"]:
        key = f"{trial['key']}{abs(hash(str(plan)))}"  # one store has the studies of all draws
        study.add_run({**trial, "key": key}, 70.0 + trial["seed"] + arms.index(trial["arm"]))
        trial["key"] = key
    written = write_study_table(study.uri, study.study, tmp_path / "out", plan)
    assert [list(level.table.index) for level in written.levels] == [arms] * len(levels)
    assert [list(level.table["gain"])[1:] for level in written.levels] == [
        [float(number) for number in range(1, len(arms))]
    ] * len(levels)
    assert load_plan(study.uri, study.study)["arms"] == arms
