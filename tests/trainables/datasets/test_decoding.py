"""Decoding agrees with torchvision, one file at a time."""

import io
import struct
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin
from torchvision.transforms import v2

from tests.trainables.datasets.files import require_refused
from trainables.datasets.dataset import DataError
from trainables.datasets.decoding import Decoder, View, decode, decode_bytes
from trainables.datasets.file_list import FileList


def pillow(path):
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {}),
        ("grey.jpg", {"mode": "L"}),
        ("cmyk.jpg", {"mode": "CMYK"}),
        ("a.png", {}),
        ("palette.png", {"mode": "P"}),
        ("png-called.jpg", {"format": "PNG"}),  # ImageNet has one
    ],
)
def test_whatever_the_file_holds_it_is_red_green_blue(tmp_path, picture, name, options):
    assert torch.equal(decode(picture(tmp_path / name, **options)), pillow(tmp_path / name))


@pytest.mark.parametrize(
    ("mode", "transparency"), [("P", bytes(range(256))), ("P", 3), ("L", 5), ("RGB", (1, 2, 3)), ("1", 0)]
)
def test_transparency_changes_no_colour_and_is_not_warned_of(tmp_path, picture, mode, transparency):
    expected = decode(picture(tmp_path / "opaque.png", mode=mode))
    with Image.open(tmp_path / "opaque.png") as opaque:
        opaque.save(tmp_path / "glass.png", transparency=transparency)
    with Image.open(tmp_path / "glass.png") as glass:
        assert "transparency" in glass.info
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert torch.equal(decode(tmp_path / "glass.png"), expected)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("16.png", np.linspace(0, 65535, 320).round().astype(np.uint16)),
        ("12-in-16.png", np.linspace(0, 4095, 320).round().astype(np.uint16)),
        ("16.tif", np.linspace(1000, 1255, 320).round().astype(np.uint16)),
        ("32.tif", np.linspace(-70000, 70000, 320).round().astype(np.int32)),
        ("float.tif", np.linspace(-0.25, 0.75, 320).astype(np.float32)),
    ],
)
def test_grey_values_of_more_than_8_bits_are_scaled_by_their_own_range(tmp_path, name, values):
    Image.fromarray(values.reshape(16, 20)).save(tmp_path / name)
    image = decode(tmp_path / name)
    low, high = values.astype(float).min(), values.astype(float).max()
    wanted = np.rint((values.astype(float) - low) / (high - low) * 255).reshape(16, 20)
    for channel in image:
        np.testing.assert_allclose(channel.numpy(), wanted, atol=1)  # a half may fall to either side
    assert (image.min(), image.max()) == (0, 255)


def write_png(path, values):
    """Write (H, W, C) colours of 16 bits, which Pillow reads but does not write; C is 2 (grey, alpha), 3 or 4."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = {b"IHDR": header, b"IDAT": zlib.compress(rows), b"IEND": b""}
    whole = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts.items())
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_are_read_if_they_fill_them_and_refused_if_not(tmp_path, channels):
    """Pillow reads the highest 8 bits: of 12 bits in 16, a microscope's, 16 values would be left."""
    values = np.linspace(0, 65535, 320).round().astype(np.uint16).reshape(16, 20, 1).repeat(channels, axis=2)
    write_png(tmp_path / "16.png", values)
    assert (decode(tmp_path / "16.png").numpy() == (values[:, :, 0] >> 8)).all()
    write_png(tmp_path / "12-in-16.png", values >> 4)
    with pytest.raises(DataError, match=r"12-in-16.png .*colours have 16 bits, of which the highest two are empty"):
        decode(tmp_path / "12-in-16.png")


def test_whole_numbers_of_32_bits_without_a_sign_are_read_as_such(tmp_path):
    values = np.linspace(0, 2**32 - 1, 320).astype(np.uint32).reshape(16, 20)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[339] = 1  # the format of a sample: unsigned
    Image.fromarray(values.view(np.int32)).save(tmp_path / "32.tif", tiffinfo=tags)
    image = decode(tmp_path / "32.tif")
    assert (image[0].flatten().diff() >= 0).all()  # not from 127 down to 128 and up again
    assert (image.min(), image.max()) == (0, 255)


def test_a_picture_of_one_value_is_black_and_one_that_is_not_finite_is_refused(tmp_path):
    Image.fromarray(np.full((16, 20), 700, np.uint16)).save(tmp_path / "flat.png")
    assert not decode(tmp_path / "flat.png").any()
    Image.fromarray(np.array([[0.0, np.nan]], np.float32)).save(tmp_path / "nan.tif")
    with pytest.raises(DataError, match=r"nan.tif is not a whole image \(it has values that are not finite\)$"):
        decode(tmp_path / "nan.tif")


def test_the_orientation_that_a_camera_noted_is_not_applied_as_torchvision_does_not(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert Image.open(tmp_path / "turned.png").getexif()[0x0112] == 6
    assert torch.equal(decode(tmp_path / "turned.png"), torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF"])
@pytest.mark.filterwarnings("ignore")
def test_whatever_is_broken_in_a_file_is_a_sentence(form, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # a broken size may claim all memory
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(file, form)
    sentences = []
    for _ in range(60):
        content = np.frombuffer(file.getvalue(), np.uint8).copy()
        content[rng.integers(min(200, len(content)), size=4)] = rng.integers(0, 256, 4)
        try:
            decode_bytes(content.tobytes, Path("broken"))
        except DataError as error:
            sentences.append(str(error))
    assert sentences
    assert all(sentence.startswith("broken is not a whole image (") for sentence in sentences)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(DataError, match=rf"^{tmp_path}/text.jpg is not a whole image \(cannot identify image file\)$"):
        decode(tmp_path / "text.jpg")
    require_refused(r"none.jpg cannot be read \(No such file or directory\)$", decode, tmp_path / "none.jpg")


@pytest.mark.parametrize(("width", "height"), [(50, 40), (40, 51), (33, 33)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_test_view_is_torchvision_s_resize_and_centre_crop(tmp_path, picture, width, height, interpolation):
    path = picture(tmp_path / "a.png", width=width, height=height)
    view = View(size=24, resize=28, interpolation=interpolation)
    seen = Decoder(FileList.of(tmp_path, ["a.png"], [0]), view)[[0]].images[0].permute(2, 0, 1)
    reference = v2.Compose([v2.Resize(28, getattr(v2.InterpolationMode, interpolation.upper())), v2.CenterCrop(24)])
    assert (seen.int() - reference(pillow(path)).int()).abs().max() <= 1


def test_a_random_crop_is_one_box_of_the_image_resized(tmp_path, picture):
    picture(tmp_path / "a.png", width=60, height=44)
    decoder = Decoder(FileList.of(tmp_path, ["a.png"], [0]), View(size=24, resize=None, scale=0.08), seed=3)
    whole = decode(tmp_path / "a.png")
    (((top, left, height, width), _),) = decoder._cuts([whole], [0])
    assert (top, left, height, width) == (4, 20, 40, 35)  # by the seed and the index
    box = v2.functional.resized_crop(whole, top, left, height, width, [24, 24], v2.InterpolationMode.BICUBIC)
    seen = decoder[[0]].images[0].permute(2, 0, 1)
    assert (seen.int() - box.int()).abs().max() <= 1


def test_half_of_the_images_are_mirrored_and_nothing_else_moves(tmp_path, picture):
    picture(tmp_path / "a.png")
    files = FileList.of(tmp_path, ["a.png"] * 100, [0] * 100)
    for view in View(size=16, resize=16), View(size=16, resize=None, scale=0.08):
        plain = Decoder(files, view, seed=1)[list(range(100))].images
        mirrored = Decoder(files, replace(view, mirror=True), seed=1)[list(range(100))].images
        same, turned = ((mirrored == images).flatten(1).all(dim=1) for images in (plain, plain.flip(2)))
        assert torch.equal(same, ~turned)
        assert 30 < same.sum() < 70


def test_a_crop_depends_on_the_seed_and_the_index_alone(tmp_path, picture):
    names = [picture(tmp_path / f"{i}.png", i, width=30 + i, height=40).name for i in range(12)]
    files, view = FileList.of(tmp_path, names, range(12)), View(size=16, resize=None, scale=0.08)
    together = Decoder(files, view, seed=1)[list(range(12))]
    alone = [Decoder(files, view, seed=1)[[i]] for i in range(12)]
    assert torch.equal(together.images, torch.cat([chunk.images for chunk in alone]))
    assert torch.equal(together.labels, files.labels)
    assert not torch.equal(together.images, Decoder(files, view, seed=2)[list(range(12))].images)


def test_what_cannot_be_decoded_is_left_out_and_named(tmp_path, picture, truncated):
    names = [picture(tmp_path / f"{i}.jpg", i).name for i in range(10)]
    truncated(tmp_path / "4.jpg")
    files = FileList.of(tmp_path, names, range(10))
    decoder = Decoder(files, View(size=8, resize=8))
    chunk = decoder[list(range(10))]
    (failure,) = chunk.failures
    assert failure.startswith(f"{tmp_path / '4.jpg'} is not a whole image (image file is truncated")
    others = decoder[[index for index, label in enumerate(files.labels.tolist()) if label != 4]]
    assert len(others.images) == 9
    assert torch.equal(chunk.images, others.images)  # the rows after the gap have their own pixels
    assert torch.equal(chunk.labels, others.labels)
