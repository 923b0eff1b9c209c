"""The table of a small study."""

import pytest

from analysis.statistics.tables import level_tables
from tests.analysis.planned import make_plan, planned_runs
from tests.analysis.words.five_arms import ARMS


@pytest.fixture
def level_of():
    """Return the one table of a study of five arms with known ``values``, with some columns changed."""

    def build(values, seeds=3, arms=ARMS, change=None):
        plan = make_plan(arms=arms, seeds=seeds)
        runs = planned_runs(plan, values)
        return level_tables(change(runs) if change else runs, plan)[0]

    return build
