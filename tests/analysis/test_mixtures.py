"""The figure of a run's mixtures, from the file that it kept in a real store."""

import pytest
import torch

from analysis import mixtures
from analysis.mixtures import MixtureRow, mixture, plot_mixtures
from trainables.methods.mixture_album import Album


def album() -> Album:
    kept = Album((3, 32, 32), epochs=4)
    kept.see(torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    for epoch in range(1, 5):
        kept.take(epoch / 4, lambda images, partner, lam: (1 - lam).view(-1, 1, 1, 1).expand(-1, 1, 32, 32))
    return kept


def test_a_mixture_is_the_image_and_its_partner_by_the_mask():
    kept = album()
    row = MixtureRow("AutoMix", 0, kept.images, kept.masks, kept.epochs)
    mixed, own = mixture(row, picture=3, lam=0)  # lambda 0.1
    share = 1 - 230 / 255
    images = kept.images.float() / 255
    torch.testing.assert_close(mixed, share * images[1] + (1 - share) * images[0])
    torch.testing.assert_close(own, torch.full((32, 32), share))
    tiles = {axis.get_title(): axis.images[0].get_array() for axis in plot_mixtures("", [row], "").axes if axis.images}
    for title, tile in (("partner", images[0]), ("image", images[1]), ("λ 0.1", mixed)):
        torch.testing.assert_close(torch.tensor(tiles[title]), tile.permute(1, 2, 0))


@pytest.mark.slow
def test_the_command_draws_the_mixtures_of_one_seed(own_trained, painted, tmp_path, out):
    torch.save(album().state_dict(), tmp_path / mixtures.FILE)
    for (arm, _), run_id in own_trained.run_ids.items():
        if arm == "+ lam":
            own_trained.client.log_artifact(run_id, str(tmp_path / mixtures.FILE))
    assert own_trained.call(mixtures, "--out", str(out), "--seed", "1") == 0
    assert {file.name for file in out.iterdir()} == {"mixtures.png", "mixtures.pdf", "mixtures.tex"}
