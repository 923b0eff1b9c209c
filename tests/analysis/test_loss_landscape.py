"""The landscape command on checkpoints in a real store."""

import pandas as pd
import pytest

from analysis import loss_landscape


def test_the_grid_has_the_network_in_its_middle():
    assert loss_landscape.grid(5, reach=2.0) == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert loss_landscape.grid(3) == [-1.0, 0.0, 1.0]  # by the length of each filter


@pytest.mark.slow
def test_lines_planes_and_the_table_of_sharpness(trained, painted, out, capsys):
    few = ("--images", "2", "--steps", "5", "--plane", "5", "--directions", "2")
    assert trained.call(loss_landscape, "--out", str(out), *few) == 0
    names = {f"{stem}.{ending}" for stem in ("line", "plane") for ending in ("png", "pdf", "tex", "csv")}
    assert {file.name for file in out.iterdir()} == names | {
        "sharpness.md",
        "sharpness.csv",
        "sharpness.tex",
        "evaluations.json",
    }
    line, plane = pd.read_csv(out / "line.csv"), pd.read_csv(out / "plane.csv")
    assert len(line) == 2 * 2 * 5
    assert len(plane) == 2 * 25
    assert set(plane["seed"]) == {0}
    # The middle of every line and plane is the network itself.
    centre = line[(line["step"] == 0) & (line["seed"] == 0)].set_index("arm")["loss"]
    middle = plane[(plane["first"] == 0) & (plane["second"] == 0)].set_index("arm")["loss"]
    assert centre["+ lam"] == pytest.approx(middle["+ lam"])
    near = line[(line["arm"] == "+ lam") & (line["step"].abs() <= 0.5)].groupby("seed")["loss"].mean()
    start = line[(line["arm"] == "+ lam") & (line["step"] == 0)].set_index("seed")["loss"]
    rise = pd.read_csv(out / "sharpness.csv").set_index("arm")["mean"]["+ lam"]
    assert rise == pytest.approx((near - start).mean(), rel=1e-6)
    said = capsys.readouterr()
    assert "rise of the loss within half the reach, nats (lower is better)" in said.out
    assert said.err.splitlines() == [f"evaluated {number} of 4 networks" for number in (1, 2, 3, 4)]
