"""StyleMix and StyleCutMix by hand, with a small encoder and decoder of our own from a file; images are 16x12."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, nn

from tests.trainables.methods.small import B, method_for, pixels
from tests.trainables.refusal import check
from trainables.methods.style_codec import PIXELS, StyleNetwork
from trainables.mixers.boxes import inside
from trainables.mixers.cutmix import draw
from trainables.mixers.mixed import beta, partners
from trainables.mixers.stylemix import in_style_of, stylecutmix, stylemix


def padded(inner: int, width: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(1), nn.Conv2d(inner, width, 3)]


def small_networks() -> tuple[nn.Sequential, nn.Sequential]:
    """Return an encoder and a decoder laid out as AdaIN's, with two widths instead of four, and a layer beyond."""
    torch.manual_seed(0)
    encoder = nn.Sequential(
        *(nn.Conv2d(3, 3, 1), *padded(3, 4), nn.ReLU(), *padded(4, 4), nn.ReLU()),
        *(nn.MaxPool2d(2, ceil_mode=True), *padded(4, 8), nn.ReLU(), *padded(8, 8), nn.ReLU()),
    )
    decoder = nn.Sequential(
        *(*padded(8, 4), nn.ReLU(), nn.Upsample(scale_factor=2), *padded(4, 4), nn.ReLU(), *padded(4, 3))
    )
    return encoder, decoder


@pytest.fixture
def file(tmp_path):
    encoder, decoder = small_networks()
    path = tmp_path / "codec.pt"
    torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict()}, path)
    return str(path)


def test_a_style_is_the_mean_and_deviation_of_each_channel():
    content, style = pixels().double(), pixels().double().flip(0) * 3 + 1
    found = in_style_of(content, style)
    torch.testing.assert_close(found.mean(dim=(2, 3)), style.mean(dim=(2, 3)))
    torch.testing.assert_close(found.std(dim=(2, 3)), style.std(dim=(2, 3)), rtol=1e-3, atol=0)
    torch.testing.assert_close(in_style_of(content, content), content)
    flat = torch.full_like(content, 0.3)  # AdaIN's code adds 1e-5 to a variance
    torch.testing.assert_close(in_style_of(flat, style), style.mean(dim=(2, 3), keepdim=True).expand_as(style))
    spread = (in_style_of(content, flat) - 0.3).var(dim=(2, 3))
    torch.testing.assert_close(spread, 1e-5 * content.var(dim=(2, 3)) / (content.var(dim=(2, 3)) + 1e-5))


def test_stylemix_is_the_paper_s_sum_of_four():
    images = pixels()
    mixed = stylemix(images, Generator().manual_seed(2), content=0.7, codec=PIXELS)
    rng = Generator().manual_seed(2)
    own, style = beta(1.0, B, rng), beta(1.0, B, rng)
    uniform = torch.rand(B, generator=rng)
    partner = partners(B, rng)
    for b in range(B):
        rc, rs, other = float(own[b]), float(style[b]), images[partner[b]][None]
        image = images[b][None]
        low = max(0.0, rc + rs - 1)
        t = low + (min(rc, rs) - low) * float(uniform[b])
        wanted = t * image + (1 - rc - rs + t) * other
        wanted = wanted + (rc - t) * in_style_of(image, other) + (rs - t) * in_style_of(other, image)
        torch.testing.assert_close(mixed.images[b], wanted[0].clamp(0, 1), rtol=0, atol=1e-5)
        assert float(mixed.weights[b, 0]) == pytest.approx(0.7 * rc + 0.3 * rs, abs=1e-6)
        assert mixed.sources[b].tolist() == [b, int(partner[b])]


def test_stylecutmix_keeps_the_content_outside_the_box_and_mixes_styles_everywhere():
    images = pixels()
    mixed = stylecutmix(images, Generator().manual_seed(3), content=0.7, codec=PIXELS)
    rng = Generator().manual_seed(3)
    boxes, partner, _ = draw(images, rng, alpha=1.0, per_batch=False)
    style, gamma = beta(1.0, B, rng), beta(1.0, B, rng)
    pasted = inside(boxes, 16, 12).bool()
    for b in range(B):
        rs, g, image, other = float(style[b]), float(gamma[b]), images[b][None], images[partner[b]][None]
        restyled = g * image + (1 - g) * in_style_of(image, other).clamp(0, 1)
        restyled_other = g * other + (1 - g) * in_style_of(other, image).clamp(0, 1)
        outside, within = rs * image + (1 - rs) * restyled, (1 - rs) * other + rs * restyled_other
        wanted = torch.where(pasted[b], within[0], outside[0])
        torch.testing.assert_close(mixed.images[b], wanted, rtol=0, atol=1e-5)
        kept = 1 - float(pasted[b].float().mean())
        weight = 0.7 * kept + 0.3 * (g * kept + (1 - g) * rs)
        assert float(mixed.weights[b, 0]) == pytest.approx(weight, abs=1e-6)


@pytest.mark.parametrize("side", [32, 31])
def test_the_networks_of_a_file_are_laid_out_as_adain_s(file, side):
    network, (encoder, decoder) = StyleNetwork(file, side), small_networks()
    images = pixels()
    enlarged = F.interpolate(images, (side, side), mode="bilinear", align_corners=False)
    features = encoder[:11](enlarged)  # up to the first map of eight channels, which the decoder takes
    torch.testing.assert_close(network.encode(images), features.detach())
    assert features.shape == (B, 8, 16, 16)  # for an odd side too
    wanted = F.interpolate(decoder(features), (16, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(network.decode(features.detach(), images.shape[2:]), wanted.detach())
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("mixer", ["stylemix", "stylecutmix"])
def test_a_method_takes_a_step_with_the_codec_of_a_file_and_without_one(mixer, file):
    images = torch.rand(B, 3, 32, 32, generator=Generator().manual_seed(0))
    losses = []
    for given in (file, None):
        method = method_for(mixer, mixer__codec_side=32, mixer__codec_file=given)
        assert (method.codec is None) == (given is None)
        loss = method(images, torch.arange(B), Generator().manual_seed(1)).loss
        loss.backward()
        assert all(p.grad is not None for p in method.network.parameters())
        losses.append(loss.item())
    assert losses[0] != losses[1]


def test_a_file_that_holds_no_codec_is_refused_with_a_sentence(tmp_path):
    keys = {"dataset": "cifar10", "mixer": "stylemix", "mixer.codec_file": str(tmp_path / "codec.pt")}
    for content in (None, {"encoder": {}}, {"encoder": {}, "decoder": {}}):
        if content is not None:
            torch.save(content, tmp_path / "codec.pt")
        with pytest.raises(ValueError, match=r"^mixer\.codec_file must hold the weights of AdaIN's encoder and"):
            check(keys)


def test_a_map_of_one_cell_and_grey_images_are_refused(file):
    """The first would make every loss NaN, the second would end a run at its first step."""
    keys = {"dataset": "cifar10", "mixer": "stylecutmix", "mixer.codec_file": file}
    check({**keys, "mixer.codec_side": 3})
    with pytest.raises(ValueError, match=r"^mixer\.codec_side must be at least 3 with this codec, got 2$"):
        check({**keys, "mixer.codec_side": 2})
    with pytest.raises(ValueError, match=r"^mixer\.codec_file is for images of three channels: it must be None with"):
        check({**keys, "dataset": "fashion_mnist"})
