"""The command on checkpoints in a real store: noise, eigenvalues, trace, and the plane of the first seed."""

from functools import partial

import pandas as pd
import pytest

from analysis import curvature
from analysis.figures.drawing import log_ticks


@pytest.mark.slow
def test_the_noise_begins_at_the_network_and_so_does_the_plane(trained, painted, out, capsys, monkeypatch):
    monkeypatch.setattr(curvature, "NOISE_STEPS", 3)
    monkeypatch.setattr(curvature, "leading_eigenpairs", partial(curvature.leading_eigenpairs, iterations=2))
    few = ("--images", "2", "--noises", "1", "--draws", "2", "--plane", "5")
    assert trained.call(curvature, "--out", str(out), *few) == 0
    names = {f"{stem}.{ending}" for stem in ("noise", "plane") for ending in ("png", "pdf", "tex", "csv")}
    assert {file.name for file in out.iterdir()} == names | {"table.md", "table.csv", "table.tex", "evaluations.json"}
    noise, plane = pd.read_csv(out / "noise.csv"), pd.read_csv(out / "plane.csv")
    assert len(noise) == 2 * 2 * curvature.NOISE_STEPS
    assert noise["step"].max() == pytest.approx(0.03)
    assert set(plane["seed"]) == {0}
    start = noise[(noise["step"] == 0) & (noise["seed"] == 0)].set_index("arm")["loss"]
    middle = plane[(plane["first"] == 0) & (plane["second"] == 0)].set_index("arm")["loss"]
    assert start["+ lam"] == pytest.approx(middle["+ lam"])
    table = pd.read_csv(out / "table.csv").set_index(["metric", "arm"])["mean"]
    assert list(dict.fromkeys(table.index.get_level_values(0))) == list(curvature.MEASURES)
    rises = noise[noise["arm"] == "+ lam"].groupby("seed")["loss"].agg(lambda losses: (losses - losses.iloc[0]).mean())
    assert table["noise_loss", "+ lam"] == pytest.approx(rises.mean())
    assert abs(table["first_eigenvalue", "+ lam"]) >= abs(table["second_eigenvalue", "+ lam"])
    said = capsys.readouterr().out
    assert "trace of the Hessian" in said
    assert "Noise: Gaussian, on every parameter, 1 draw, 3 sigmas from 0 to 0.03." in said


def test_an_axis_of_losses_always_has_ticks_and_none_over_another():
    assert log_ticks(0.9, 6.0) == [1.0, 2.0, 3.0, 5.0]
    assert log_ticks(1.4, 1.8) == [1.4, 1.5, 1.6, 1.7, 1.8]
    assert log_ticks(1.512, 1.991) == [1.6, 1.7, 1.8, 1.9]  # rather than 1.51, 1.75, 1.99
    assert log_ticks(3e-7, 3.4e-7) == [3e-7, 3.1e-7, 3.2e-7, 3.3e-7, 3.4e-7]
    assert log_ticks(1.5, 1.5) == [1.5]
    assert log_ticks(0.0, 0.0) == [1e-9]
    assert log_ticks(1.9, 320) == [3, 10, 30, 100, 300]
    assert log_ticks(0.5, 2e5) == [1, 10, 100, 1e3, 1e4, 1e5]
