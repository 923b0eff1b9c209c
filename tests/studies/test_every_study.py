"""Every study can be started, and each of their networks and mixers takes a step."""

import pytest

from tests.studies.steps import require_dry_run, take_steps
from tests.studies.test_automix import AUTOMIX
from tests.studies.test_kimage import KIMAGE
from tests.studies.test_sumix import SUMIX
from tests.studies.test_tables import TABLES

STUDIES = (*TABLES, *SUMIX, *KIMAGE, *AUTOMIX)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", STUDIES)
def test_dry_run(name, tmp_path, tracking_uri, capsys):
    require_dry_run(name, tmp_path, tracking_uri, capsys)


def test_one_step_with_every_network_and_mixer(monkeypatch):
    assert take_steps(STUDIES, monkeypatch) == 30
