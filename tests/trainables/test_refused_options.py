"""What a configuration cannot say, and the sentence by which it is refused before anything starts."""

import inspect
from typing import Any

import pytest

from tests.trainables.refusal import BASE, FOLDER, OF_TOKENS, check, require_refused
from trainables.backbones import BACKBONES
from trainables.backbones.names import RESIDUAL
from trainables.backbones.pretrained import PRETRAINED
from trainables.classify import train
from trainables.config import NEUTRAL, flatten, parse
from trainables.datasets import DATASETS
from trainables.mixers import MIXERS


def wrong(value, kind) -> list[Any]:
    """Return values of the right type that no option can have, by the option's default or, if it is None, its type."""
    if isinstance(value, bool):
        return []
    if isinstance(value, tuple):
        return [type(value)(-1 * (n + 1) for n in value)]
    if isinstance(value, str) or "str" in str(kind) or "Literal" in str(kind):
        return ["elsewhere"]
    return [-1.5, float("nan")] if isinstance(value, float) or "float" in str(kind) else [-1]


KEYS_AT_FIRST = 52  # besides the mixer's; another one without a neutral value would make all finished runs anew


@pytest.mark.parametrize("mixer", MIXERS)
def test_every_option_of_every_mixer_is_refused_where_it_is_wrong(mixer):
    kinds = inspect.get_annotations(MIXERS[mixer])
    network = {"backbone": "deit_small", "image_size": 32} if mixer in OF_TOKENS else {}
    config = parse({**BASE, "mixer": mixer})
    first = {key for key, value in flatten(config).items() if NEUTRAL.get(key, value) != value}
    assert first == ({"mixer.ema"} if mixer == "attentivemix" else set())  # no option has changed since
    assert sum(key not in NEUTRAL and not key.startswith("mixer") for key in flatten(config)) == KEYS_AT_FIRST
    for option, value in config.mixer_options.items():
        for bad in wrong(value, kinds.get(option)):
            require_refused({**BASE, **network, "mixer": mixer, f"mixer.{option}": bad}, option, str(bad))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_option_of_every_backbone_is_refused_where_it_is_wrong(name):
    base, parameters = {**BASE, "backbone": name}, inspect.signature(BACKBONES[name]).parameters
    require_refused({**base, "drop_path": 1.0 if "drop_path" in parameters or name in RESIDUAL else 0.1}, "drop_path")
    weights = "IMAGENET1K_V2" if name in ("resnet18_imagenet", "resnet34_imagenet") else "IMAGENET1K_V1"
    if name not in PRETRAINED or weights.endswith("2"):
        require_refused({**base, "pretrained": weights}, weights)
    if "image_size" in parameters:
        require_refused({**base, "image_size": 50}, "image_size")


WRONG: dict[str, tuple[Any, ...]] = {  # by key, values that no data set can have
    "train_images": (0, 10**8),
    "test_images": (10**8,),
    "validation": (-0.5, 10**8),
    "evaluate": ("elsewhere", "validation"),
    "num_classes": (0,),
    "image_size": (0, 5000),
    "test_size": (-1, 5000),
    "resize": (3, 5000),
    "interpolation": ("elsewhere",),
    "bad_images": ("elsewhere",),
    "augment": ("elsewhere",),
    "augment.padding": ("elsewhere",),
    "augment.scale": (0.0,),
    "augment.resize": (0, 5000),
    "augment.randaugment": ("elsewhere",),
    "augment.level": (11.0,),
    "augment.level_std": (-1.0,),
    "augment.operations": (0, 101),
    "augment.jitter": (2.0,),
    "augment.hue": (0.6,),
    "augment.lighting": (-1.0,),
    "augment.erasing": (2.0,),
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_key_of_every_data_set_is_refused_where_it_is_wrong(dataset):
    in_folder = DATASETS[dataset].in_folder
    counts = {"train_images": 100, "test_images": 100}
    base = {**BASE, **(FOLDER | counts if in_folder else {}), "dataset": dataset}
    for key, values in WRONG.items():
        for value in values:
            if not (in_folder and key in counts and value):  # how many images a folder has is not known
                require_refused({**base, key: value}, key)


@pytest.mark.parametrize(
    ("mixer", "option", "right", "wrong"),
    [
        ("augmix", "severity", 10.0, 11.0),
        ("augmix", "width", 1, 0),
        ("augmix", "depth", 100, 101),
        ("alignmix", "iterations", 1000, 1001),
        ("puzzlemix", "num_labels", 100, 101),
        ("mixup_cutmix", "cutmix_share", 1.0, 1.5),
        ("dmixup", "num_images", 2, 1),
        ("alignmix", "eps", 0.01, 0.0),
        ("resizemix", "scope", (0.0, 1.0), (0.0, 1.1)),
        ("gridmix", "holes", (1, 1), (0, 1)),
    ],
)
def test_the_last_number_of_a_range_is_right_and_the_next_is_not(mixer, option, right, wrong):
    config = {**BASE, "mixer": mixer}
    check({**config, f"mixer.{option}": right})
    require_refused({**config, f"mixer.{option}": wrong}, option, str(wrong))


CUTMIX = {"dataset": "cifar10", "backbone": "resnet8", "mixer": "cutmix"}
RELEASED = {"sumix.preset": "release", "sumix.lam": "learned"}
JOINT = {"sumix.lam": "learned", "sumix.raw_forward": "joint"}
FLOWERS = {"dataset": "folder", "folder": "flowers"}
HELD_OUT = {"validation": 0.2, "evaluate": "validation"}
# A map of 4 x 4 pixels can be normalised even for one image; a last map of one pixel cannot.
ONE_PIXEL = {"backbone": "resnet18", "image_size": 8, "batch_size": 8}

IMAGES = [
    ({"evaluate": "validation"}, r"^evaluate 'validation' needs the key validation, a share or a number"),
    ({"train_images": 50_001}, r"^train_images must be at most 50000, the size of cifar10, got 50001$"),
    ({"test_images": 10_001}, r"^test_images must be at most 10000, the size of cifar10, got 10001$"),
    ({"dataset": "folder", "num_classes": 3}, r"^dataset 'folder' needs the key folder$"),
    (FLOWERS, r"^dataset 'folder' needs the key num_classes$"),
    ({**FLOWERS, "num_classes": 1}, r"^num_classes must be greater than or equal to 2, got 1$"),
    ({"num_classes": 10}, "^num_classes is for the data sets 'folder', 'webdataset', 'parquet': .* 'cifar10', got 10$"),
    ({"folder": "x"}, r"^folder is for the data sets 'folder', .* None with dataset 'cifar10', got 'x'$"),
    ({"resize": 20}, r"^resize must be at least 32, the side of the crop that is tested, got 20$"),
    ({"augment.size": 3}, r"^unknown key 'augment.size'; did you mean 'augment.resize'\?$"),
    ({"dataset": "fashion_mnist", "augment.lighting": 0.1}, "three channels: it must be 0.0 with .*, got 0.1$"),
    ({"subset.share": 0.5}, "^subset.share 0.5 needs a subset.rule, one of random, .*, k_centre, got 'none'$"),
    ({"subset.rule": "cv"}, "subset.scores must be the scores.csv .* with subset.rule 'cv', got None"),
    ({"subset.rule": "random", "subset.scores": "a"}, "subset.scores must be None with subset.rule 'random', got 'a'"),
    ({"subset.rule": "random", "subset.share": 0.0}, "subset.share must be greater than 0, got 0.0"),
    ({"subset.rule": "best"}, "subset.rule must be"),
]
NETWORKS = [
    (
        {"backbone": "mobilenet_v2", "drop_path": 0.1},
        "drop_path is for networks that have one: it must be 0 with backbone 'mobilenet_v2', got 0.1",
    ),
    ({"backbone": "vit_tiny_32", "drop_block": 0.1}, "drop_block is for .* 0 with backbone 'vit_tiny_32', got 0.1$"),
    (
        {"backbone": "vit_tiny_32", "recalibrate": True},
        "^recalibrate is for networks with batch norm: it must be False with .*, got True$",
    ),
    (
        {"dataset": "fashion_mnist", "backbone": "resnet18_imagenet", "pretrained": "IMAGENET1K_V1"},
        "^pretrained is for images of three channels: it must be 'none' with dataset 'fashion_mnist', got 'IMAGE",
    ),
    ({"pretrained": "IMAGENET1K_V1"}, "torchvision has no weights 'IMAGENET1K_V1' for backbone 'resnet8'"),
    ({"backbone": "resnet9"}, r"^unknown backbone 'resnet9'; did you mean 'resnet8'\?$"),
    ({"mixer": "cutmx"}, r"^unknown mixer 'cutmx'; did you mean 'cutmix'\?$"),
    ({"dataset": "cifar"}, r"^unknown dataset 'cifar'; did you mean 'cifar10', 'cifar100' or 'cifar8'\?$"),
    ({"backbone": "vgg16"}, r"^unknown backbone 'vgg16'; timm has it as 'timm/vgg16'$"),
    ({"backbone": "timm/resnet18x"}, r"unknown backbone 'timm/resnet18x'; did you mean 'timm/resnet18'\?"),
    ({"backbone": "timm/resnet18.a9", "pretrained": "timm"}, "it has timm/resnet18.a1_in1k"),
    ({"backbone": "timm/vgg11", "drop_path": 0.1, "image_size": 64}, "'timm/vgg11', which has no drop-path, got 0.1"),
    ({"backbone": "timm/xcit_nano_12_p16_224", "image_size": 40}, "cannot be built for images of 40 pixels"),
    ({"backbone": "timm/test_vit", "image_size": 33}, "cannot see images of 33x33 pixels"),
    (
        {**FLOWERS, "num_classes": 3, "backbone": "vit_tiny_32", "image_size": 32, "test_size": 64},
        "backbone 'vit_tiny_32' cannot see images of 64x64 pixels",
    ),
    ({"backbone": "timm/test_vit2", "image_size": 64, "mixer": "transmix"}, "with the attention of a class token"),
    ({"backbone": "resnet18", "pretrained": "timm"}, "torchvision has no weights 'timm' for backbone 'resnet18'"),
]
STEPS = [
    ({"loss": "binary", "label_smoothing": 0.1}, "'cross_entropy' with label_smoothing 0.1, got 'binary'"),
    ({"loss": "binary", "sumix.lam": "learned"}, "loss must be 'cross_entropy' with SUMix, got 'binary'"),
    ({"nesterov": True, "momentum": 0.0}, "nesterov needs a momentum above 0, got 0.0"),
    ({"momentum": 1.0}, "momentum must be less than 1, got 1.0"),
    ({"grad_clip": 0.0}, "grad_clip must be greater than 0, got 0.0"),
    ({"lr": 0.4, "min_lr": 0.5}, "min_lr must be at most lr, 0.4, got 0.5"),
    ({"epochs": 8, "warmup_epochs": 8}, "warmup_epochs must be less than epochs, 8, got 8"),
    ({"warmup_epochs": -1}, "warmup_epochs must be greater than or equal to 0, got -1"),
    ({"milestones": (0.5, 1.0)}, r"milestones must be less than 1, got \(0.5, 1.0\)"),
    ({"milestones": [0.0, 0.5]}, r"milestones must be greater than 0, got \(0.0, 0.5\)"),
    ({"lr_changes": "epoch"}, "lr_changes must be 'each_epoch' or 'each_step', got 'epoch'"),
    ({"drop_last": True, "batch_size": 60000}, "batch_size must be at most 50000, .* with drop_last, got 60000"),
    ({"batch_size": 8, "accumulate": 3}, "accumulate must divide batch_size 8, got 3"),
    ({"accumulate": 0}, "accumulate must be greater than or equal to 1"),
    ({**ONE_PIXEL, "accumulate": 2, "train_images": 21}, "the last batch of 21 training images has 1 image"),
    (
        {"cuda_graph": True, "mixer": "mixup", "mixer.probability": 0.5},
        "cuda_graph must be 'auto' or False with mixer 'mixup'",
    ),
    ({"cuda_graph": True, "optimiser": "lamb"}, "cuda_graph is for optimiser 'sgd' or 'adamw', got 'lamb'"),
    *(({"cuda_graph": of}, f"cuda_graph must be True, False or 'auto', got {of!r}") for of in ("yes", 2, None)),
]
OF_MIXERS = [
    ({"mixer": "comixup", "mixer.iterations": 0}, "mixer.iterations must be greater than or equal to 1, got 0"),
    ({"mixer": "transmix"}, "needs a backbone with the attention of a class token, such as .*, got 'resnet8'$"),
    ({"mixer": "mergemix"}, "'mergemix' needs the backbone 'deit_small' or 'vit_tiny_32', .*, got 'resnet8'$"),
    *(({"mixer": "manifoldmix", "mixer.layers": of}, r"layers must lie in 0\.\.3") for of in ((), (-1,), (0, 4))),
    ({"mixer": "gridmix", "mixer.holes": (3, 2)}, r"holes .* got \(3, 2\)"),
    *(
        ({"mixer": "resizemix", "mixer.scope": scope}, r"scope must be two ascending shares of a side, .* got")
        for scope in ((0.8, 0.1), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1))
    ),
    ({"mixer": "fmix", "mixer.decay": 20.0}, r"^mixer.decay must be less than or equal to 10, got 20\.0$"),
    (
        {"dataset": "fashion_mnist", "mixer": "saliencymix", "mixer.saliency_input": "raw_float"},
        "saliency_input 'raw_float' needs images of 3 channels, got 1",
    ),
    ({"mixer": "attentivemix", "mixer.top_k": 65}, "top_k must be between 1 and 64"),
    ({"mixer": "supermix", "mixer.teacher": "nowhere.pt"}, r"got 'nowhere\.pt'"),
    *(
        ({"mixer": mixer, "mixer.groups": 2}, r"whole batch.*: mixer\.groups must be 1, got 2$")
        for mixer in ("manifoldmix", "automix")
    ),
    ({"mixer": "adautomix", "mixer.pipeline": "mp"}, "mixer.pipeline must be 'mp_ce', got 'mp'"),
    ({"clean_loss": 1.0, "sumix.raw_forward": "train_nograd"}, r"or 'joint' with clean_loss 1\.0, .*'train_nograd'$"),
    ({"mixer": "augmix", "mixer.probability": 0.5}, r"mixes every batch: mixer.probability must be 1, got 0\.5"),
    ({"mixer": "augmix", "clean_loss": 1.0}, r"its own loss on the images as they are: clean_loss must be 0, got 1\.0"),
]
SUMIX = [
    ({"sumix.zeta": -0.1}, "sumix.zeta must be greater than or equal to 0, got -0.1"),
    ({"sumix.zeta": float("nan")}, "sumix.zeta must be a finite number, got nan"),
    ({"sumix.lam": "free"}, "sumix.lam must be 'fixed' or 'learned', got 'free'"),
    ({"sumix.sem_scale": -1}, "sumix.sem_scale must be greater than or equal to 0, got -1"),
    (
        {"sumix.z": "features", "sumix.regulariser": "s"},
        "must be 'none', 'u' or 'su' with sumix.z 'features', .*, got 's'$",
    ),
    ({**RELEASED, "sumix.z": "features"}, "sumix.z is an option of sumix.preset 'paper', got 'features'"),
    ({**RELEASED, "sumix.lam_gradient": "flow"}, "sumix.lam_gradient is an option of sumix.preset 'paper'"),
    ({**RELEASED, "sumix.lam_of": "batch"}, "sumix.lam_of is an option of sumix.preset 'paper'"),
    ({"mixer": "dcutmix", **RELEASED}, "mixtures of 2 images"),
    ({"mixer": "comixup", **RELEASED}, "mixtures of 2 images, got 3"),
    ({"mixer": "augmix", "sumix.lam": "learned"}, "mixes an image with itself: sumix.lam must be 'fixed', got"),
    (
        {"mixer": "augmix", "sumix.regulariser": "s"},
        "mixes an image with itself: sumix.regulariser must be 'none', got",
    ),
    ({"mixer": "manifoldmix", **JOINT}, "maps, which have left the images behind: sumix.raw_forward must be 'train_g"),
    (
        {"mixer": "automix", "mixer.pipeline": "mp", **JOINT},
        "makes its masks of a pass of its own: sumix.raw_forward must be",
    ),
    ({**JOINT, "sumix.raw_statistics": "leave"}, "'keep' with sumix.raw_forward 'joint', .*, got 'leave'$"),
]
AUTOMIX = [
    ({"mixer.layer": 4}, r"mixer.layer must lie in 1\.\.3 with backbone 'resnet8', got 4"),
    ({"mixer.layer": 0}, r"mixer.layer must lie in 1\.\.3 with backbone 'resnet8', got 0"),
    ({"clean_loss": 1.0}, r"its own loss on the images as they are: clean_loss must be 0, got 1\.0"),
    ({"sumix.lam": "learned", "sumix.raw_forward": "eval_nograd"}, "must be 'train_grad', got 'eval_nograd'"),
    ({"mixer.probability": 0.5}, r"mixes every batch: mixer.probability must be 1, got 0\.5"),
    ({"sumix.lam": "learned", "sumix.raw_statistics": "leave"}, "must be 'keep', got 'leave'"),
    (
        {"mixer.block_lr": 0.01, "mixer.block_min_lr": 0.1},
        r"^mixer.block_min_lr must be at most mixer.block_lr, 0\.01, got 0\.1$",
    ),
    ({"min_lr": 0.05, "mixer.block_lr": 0.01}, r"^min_lr must be at most mixer.block_lr, 0\.01, got 0\.05$"),
    ({"mixer.block_min_lr": 0.3}, r"^mixer.block_min_lr must be at most lr, 0\.1, got 0\.3$"),
]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        *(*IMAGES, *NETWORKS, *STEPS, *OF_MIXERS, *SUMIX),
        *(({"mixer": "automix", **keys}, message) for keys, message in AUTOMIX),
    ],
)
def test_what_cannot_be_run_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        check({**CUTMIX, **keys})


@pytest.mark.parametrize(
    ("keys", "reported", "metric", "message"),
    [
        (HELD_OUT, "val_top1_last", "test_top1_error_last", "such as 'val_top1_median10', got 'test_top1_error_last'$"),
        ({}, "test_top1_last", "val_top1", "^the metric 'val_top1' needs the key validation, a share or a number"),
    ],
)
def test_a_metric_of_images_that_are_not_tested_is_refused(keys, reported, metric, message):
    settings = train.resolve({**CUTMIX, **keys}).settings
    train.check_metric(settings, reported)
    with pytest.raises(ValueError, match=message):
        train.check_metric(settings, metric)
