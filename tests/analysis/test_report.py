"""The page of a study, on a real MLflow store."""

import re

import pytest

from analysis import report as page_of_study
from analysis.records.runs import configuration, load_runs, provenance
from analysis.report import report, summary
from analysis.statistics.effects import effects_by_table
from analysis.statistics.outlook import outlook
from analysis.statistics.over_tables import over_tables
from analysis.statistics.tables import level_tables
from analysis.words.cells import estimate_cells
from tests.analysis.pages import Page
from tests.analysis.planned import VALUE, make_plan, planned_runs, tables_of

DESIGN = {"terms": ["a"], "signs": {"baseline": {"a": -1}, "+ a": {"a": 1}}}


def gain_by_mixer(trial):
    return 70.0 + (trial["arm"] == "+ a") * (1.5 if trial["levels"]["mixer"] == "x" else 2.5)


@pytest.fixture(scope="module")
def tracked(track_in, tmp_path_factory):
    """Return a study with one failed run, which no test changes, and its plan."""
    study, plan = track_in(tmp_path_factory.mktemp("tracked")), make_plan(seeds=2)
    study.add_plan(plan)
    for position, trial in enumerate(plan["trials"]):
        if position == 5:
            study.add_run(
                trial, None, status="FAILED", tags={"mixlab.error": "RuntimeError: <loss> is NaN"}, curve=(5.0,)
            )
        else:
            study.add_run(trial, 70.0 + position, curve=(10.0, 20.0, 30.0), epochs=20 + position // 4)
    return study, plan


@pytest.mark.slow
def test_the_command_writes_a_page_that_is_whole_and_loads_nothing(tracked, tmp_path, capsys):
    study, plan = tracked
    file = tmp_path / "pages" / "report.html"
    assert study.call(page_of_study, "--out", str(file)) == 0
    assert capsys.readouterr().out.strip() == str(file)
    page = Page(file.read_text(encoding="utf-8"))
    assert len(page.addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    for part in ("Of 2 comparisons, paired over", "too few seeds to tell", "resnet20", "0123456789ab", "feedc0de"):
        assert part in page.text
    assert all(line in page.text for line in outlook(plan))
    assert page.text.count("RuntimeError: <loss> is NaN") == 2  # under the table, and among the failures


@pytest.mark.slow
def test_a_launch_gets_the_text_the_tables_and_the_files_and_none_of_an_earlier_plan(tracked, tmp_path):
    study, plan = tracked
    for name in ("ranks.png", "wealth.pdf", "gains.png", "notes.png"):
        (tmp_path / name).write_bytes(b"old")
    found = report(study.uri, study.study, plan, tmp_path)
    assert set(tmp_path.iterdir()) == {*found.files, found.page, tmp_path / "notes.png"}
    assert "too few seeds to tell" in found.text
    assert [table.loc["+ lam", "gain"] for table in found.tables] == [2.0]
    assert [verdict["arm"] for verdict in found.verdicts] == ["+ lam", "+ l_s"]
    assert found.verdicts[0] == {
        **{"table": {"mixer": "cutmix"}, "arm": "+ lam", "against": "baseline"},
        **{"verdict": "too few seeds", "pairs": 2, "gain": 2.0, "gain_low": None, "gain_high": None},
        **{"p": 0.5, "p_family": 1.0},
    }
    assert found.page not in found.files
    assert found.summary.metrics["runs"] == 5
    assert set(found.arm_summaries) == {"cutmix · baseline", "cutmix · + lam", "cutmix · + l_s"}


@pytest.mark.slow
def test_a_study_of_one_arm_leaves_out_what_compares(track, tmp_path):
    study, plan = track(), make_plan(arms=("baseline",), seeds=2, factors={})
    study.add_all(plan, lambda _: 70.0, curve=(10.0, 20.0))
    found = report(study.uri, study.study, plan, tmp_path / "out")
    assert [file.name for file in found.files if file.suffix == ".png"] == ["curves.png"]
    page = Page(found.page.read_text(encoding="utf-8"))
    assert len(page.addresses) == 1
    assert page.text.count("Nothing was compared: the baseline is the only arm.") == 2  # the answer, and the seeds
    for left_out in ("Gains", "seeds so far", "Each arm"):
        assert left_out not in page.text
    assert "Every run" in page.text


@pytest.mark.slow
def test_the_answers_over_tables_and_the_effects_stand_below_their_figures(track, tmp_path):
    study, plan = track(), make_plan(arms=("baseline", "+ a"), seeds=2, factors={"mixer": ("x", "y")}, design=DESIGN)
    study.add_all(plan, gain_by_mixer)
    source = report(study.uri, study.study, plan, tmp_path / "out").page.read_text(encoding="utf-8")
    assert re.findall("<h2>(.*)</h2>", source)[:4] == ["Answer", "Over the tables", "Gains", "Results"]
    page = Page(source)
    assert ["+ a", "here", "+2.00", "–", "2", "0.5000"] in page.rows
    assert ["a", "+1.50", "–", "0.5000", "0.5000"] in page.rows


@pytest.mark.parametrize(("sequential", "p"), [(None, ["0.5000"]), ({"budget": 9}, [])])
def test_estimates_as_text_show_a_p_only_where_the_seeds_are_fixed(sequential, p):
    plan = make_plan(arms=("baseline", "+ a"), seeds=2, factors={"mixer": ("x", "y")}, sequential=sequential)
    runs = planned_runs(plan, lambda *_: 70.0)
    runs[VALUE] += [gain_by_mixer(trial) - 70.0 for trial in plan["trials"]]
    levels = level_tables(runs, plan)
    shown = estimate_cells(over_tables(levels), levels[0])
    assert list(shown) == ["arm", "question", "effect", "95 % interval", "n", *["p"] * len(p)]
    assert shown.to_numpy().tolist() == [
        ["+ a", "here", "+2.00", "–", "2", *p],
        ["+ a", "in general", "+2.00", "[-4.35, +8.35]", "2", *p],  # 12.71 x 0.5 on either side
    ]
    effects = effects_by_table(levels, DESIGN)
    assert list(effects) == ["mixer = x", "mixer = y"]
    shown = estimate_cells(effects["mixer = y"], levels[0])
    assert list(shown) == ["effect", "estimate", "95 % interval", *["p", "p (family)"][: 2 * len(p)]]
    assert shown.to_numpy().tolist() == [["a", "+2.50", "–", *p, *p]]


def test_configuration_tells_the_shared_from_the_differing(tracked):
    study, plan = tracked
    shared, cells = configuration(load_runs(study.uri, study.study, plan), plan["factors"])
    assert set(shared["key"] + " " + shared["value"]) == {"dataset cifar10", "backbone resnet20", "mixer cutmix"}
    assert list(cells) == ["factor.mixer", "arm", "config.epochs"]
    epochs = ("baseline", "20"), ("+ lam", "20"), ("+ l_s", "21"), ("+ l_s", "20")
    assert cells.to_numpy().tolist() == [["cutmix", *cell] for cell in epochs]


def test_provenance_counts_the_runs(tracked):
    study, plan = tracked
    assert provenance(load_runs(study.uri, study.study, plan)).to_numpy().tolist() == [
        ["0123456789abcdef", "no", "feedc0de", "a CPU", "python 3.11", "6"]
    ]


def test_summary_lists_the_wins_and_only_them():
    arms = ("baseline", "better", "same")
    html = summary(tables_of(lambda arm, seed: 70.0 + seed + (arm == "better"), arms, 8))
    assert "5\N{NO-BREAK SPACE}%" in html
    text = html.replace("\N{NO-BREAK SPACE}", " ")
    assert re.findall("<li>(.*)</li>", text) == [
        "mixer = cutmix, better: +1.00 (95 % interval +1.00 to +1.00, p (family) 0.0078)"
    ]
    assert "1 of 2 comparisons" in text
