"""The keys of the images that cannot be together, and those that nothing would read."""

import pytest

from trainables.classify import train
from trainables.config import parse
from trainables.datasets.data_config import check_read, held_out_count


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"test_size": 80}, r"^test_size is for images that are streamed from files: it must be None or \d\d with"),
        ({"image_size": 48, "test_size": 64}, r"^test_size .* it must be None or 48 with dataset '\w+', got 64$"),
        ({"image_size": 64, "resize": 73}, r"^resize .* it must be None or 64 with dataset '\w+', got 73$"),
        ({"augment": "rrc_flip", "augment.resize": 36}, r"^augment\.resize .* it must be None with .*, got 36$"),
        ({"bad_images": "skip"}, r"^bad_images .* it must be 'refuse' with dataset '\w+', got 'skip'$"),
        ({"interpolation": "bilinear"}, r"^interpolation .* must be 'bicubic' with .* 'crop_flip', got 'bilinear'$"),
        ({"interpolation": "bilinear", "augment": "none"}, r"^interpolation .* and augment 'none', got 'bilinear'$"),
        (
            {"subset.rule": "cv", "subset.scores": "scores.csv", "subset.draw": 1},
            r"^subset\.draw is for subset\.rule 'random': it must be 0 with 'cv', got 1$",
        ),
    ],
)
def test_an_option_that_nothing_would_read_is_refused_before_a_run_starts(keys, message, tmp_path):
    for dataset in ("cifar10", "fashion_mnist", "tiny_imagenet"):
        config = {"dataset": dataset, "backbone": "resnet8", **keys}
        found = train.resolve(config)  # a finished run can still be read
        assert {key: found.flat[key] for key in keys} == keys
        with pytest.raises(ValueError, match=message):
            train.check(found.settings)
    with pytest.raises(ValueError, match=message):
        train(config, 0, data_root=tmp_path)


def test_an_option_that_is_read_is_not_refused():
    folder = {"dataset": "folder", "folder": "flowers", "num_classes": 3}
    streamed = {"dataset": "imagenet", "backbone": "resnet18_imagenet", "test_size": 288, "resize": 320}
    for keys in (
        {"image_size": 48, "interpolation": "bilinear"},
        {"augment": "rrc_flip", "interpolation": "bilinear"},
        {"image_size": 48, "test_size": 48, "resize": 48},
        {"subset.rule": "random", "subset.draw": 3},
        {**streamed, "bad_images": "skip"},
        {**folder, "augment.resize": 36, "interpolation": "bilinear", "augment": "none"},
        {"train_images": 50_000, "test_images": 10_000},  # all that there are
        {"image_size": 5},  # four pixels are added by reflection, which takes five
        {"image_size": 4, "augment.padding": "zeros"},
        {"validation": 0.1, "evaluate": "validation"},
    ):
        check_read(parse({"dataset": "cifar10", **keys}))


def test_what_is_held_out_is_a_share_or_a_number():
    assert [held_out_count(share, 50_000) for share in (5000.0, train.held_out["validation"])] == [5000, 5000]
    assert [held_out_count(held_out, 160) for held_out in (0.0, 0.1, 1.0, 159.0)] == [0, 16, 1, 159]


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (12.5, r"^validation must be a share below 1 or a whole number of images, got 12.5$"),
        (160.0, r"^validation must leave some of the 160 training images, got 160$"),
        (0.999, r"^validation must leave some of the 160 training images, got 0.999$"),
        (0.001, r"^validation must hold out at least 1 of the 160 training images, got 0.001$"),
    ],
)
def test_a_validation_split_that_cannot_be_is_refused(validation, message):
    with pytest.raises(ValueError, match=message):
        held_out_count(validation, 160)
