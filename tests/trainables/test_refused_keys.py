"""What a configuration cannot say, and the sentence by which it is refused before anything starts."""

import pytest

from tests.trainables.refusal import check

BASE = {"dataset": "cifar10", "backbone": "resnet8", "mixer": "cutmix"}
RELEASED = {"sumix.preset": "release", "sumix.lam": "learned"}
JOINT = {"sumix.lam": "learned", "sumix.raw_forward": "joint"}
FLOWERS = {"dataset": "folder", "folder": "flowers"}
# A map of 4 x 4 pixels can be normalised even for one image; a last map of one pixel cannot.
ONE_PIXEL = {"backbone": "resnet18", "image_size": 8, "batch_size": 8}

IMAGES = [
    ({"evaluate": "validation"}, r"^evaluate 'validation' needs the key validation, a share or a number"),
    ({"train_images": 50_001}, r"^train_images must be at most 50000, the size of cifar10, got 50001$"),
    ({"test_images": 10_001}, r"^test_images must be at most 10000, the size of cifar10, got 10001$"),
    ({"dataset": "folder", "num_classes": 3}, r"^dataset 'folder' needs the key folder$"),
    ({"dataset": "webdataset", "num_classes": 3}, r"^dataset 'webdataset' needs the key folder$"),
    (FLOWERS, r"^dataset 'folder' needs the key num_classes$"),
    ({**FLOWERS, "num_classes": 1}, r"^num_classes must be greater than or equal to 2, got 1$"),
    ({"num_classes": 10}, r"^num_classes is for the data sets 'folder', 'webdataset', 'parquet' only, got 10 with"),
    ({"folder": "x"}, r"^folder is for the data sets 'folder', .* only, got 'x' with dataset 'cifar10'$"),
    ({"resize": 20}, r"^resize must be at least 32, the side of the crop that is tested, got 20$"),
    ({"augment.size": 3}, r"^unknown key 'augment.size'; did you mean 'augment.resize'\?$"),
    ({"dataset": "fashion_mnist", "augment.lighting": 0.1}, "three channels, got 0.1 with dataset 'fashion_mnist'"),
    (
        {"subset.share": 0.5},
        "^subset.rule must be one of random, .*, dropout, k_centre with another option .*, got 'none'$",
    ),
    ({"subset.rule": "cv"}, "subset.scores must be the scores.csv .* with subset.rule 'cv', got None"),
    (
        {"subset.rule": "random", "subset.scores": "a.csv"},
        "subset.scores must be None with subset.rule 'random', got 'a.csv'",
    ),
    ({"subset.rule": "random", "subset.share": 0.0}, "subset.share must be greater than 0, got 0.0"),
    ({"subset.rule": "best"}, "subset.rule must be"),
]
NETWORKS = [
    (
        {"backbone": "mobilenet_v2", "drop_path": 0.1},
        "drop_path must be 0 with backbone 'mobilenet_v2', which has no drop-path, got 0.1",
    ),
    ({"backbone": "vit_tiny_32", "drop_block": 0.1}, "got 0.1 with backbone 'vit_tiny_32'"),
    (
        {"backbone": "vit_tiny_32", "recalibrate": True},
        "^recalibrate must be False .* which has no batch norm, got True$",
    ),
    ({"pretrained": "IMAGENET1K_V1"}, "torchvision has no weights 'IMAGENET1K_V1' for backbone 'resnet8'"),
    ({"backbone": "resnet9"}, r"^unknown backbone 'resnet9'; did you mean 'resnet8'\?$"),
    ({"mixer": "cutmx"}, r"^unknown mixer 'cutmx'; did you mean 'cutmix'\?$"),
    ({"dataset": "cifar"}, r"^unknown dataset 'cifar'; did you mean 'cifar10', 'cifar100' or 'cifar8'\?$"),
    ({"backbone": "timm/resnet18x"}, r"unknown backbone 'timm/resnet18x'; did you mean 'timm/resnet18'\?"),
    ({"backbone": "timm/resnet18.a9", "pretrained": "timm"}, "it has timm/resnet18.a1_in1k"),
    ({"backbone": "timm/vgg11", "drop_path": 0.1, "image_size": 64}, "'timm/vgg11', which has no drop-path, got 0.1"),
    ({"backbone": "timm/xcit_nano_12_p16_224", "image_size": 40}, "cannot be built for images of 40 pixels"),
    ({"backbone": "timm/test_vit", "image_size": 33}, "cannot see images of 33x33 pixels"),
    ({"backbone": "timm/test_vit2", "image_size": 64, "mixer": "transmix"}, "with the attention of a class token"),
    ({"backbone": "timm/levit_128s", "image_size": 128, "mixer": "transmix"}, "attention of a class token, such as"),
    ({"backbone": "resnet18", "pretrained": "timm"}, "torchvision has no weights 'timm' for backbone 'resnet18'"),
]
STEPS = [
    ({"loss": "binary", "label_smoothing": 0.1}, "'cross_entropy' with label_smoothing 0.1, got 'binary'"),
    ({"loss": "binary", "sumix.lam": "learned"}, "loss must be 'cross_entropy' with SUMix, got 'binary'"),
    ({"nesterov": True, "momentum": 0.0}, "nesterov needs a momentum above 0, got 0.0"),
    ({"lr": 0.4, "min_lr": 0.5}, "min_lr must be at most lr, 0.4, got 0.5"),
    ({"epochs": 8, "warmup_epochs": 8}, "warmup_epochs must be less than epochs, 8, got 8"),
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
    *(
        ({"cuda_graph": value}, f"cuda_graph must be True, False or 'auto', got {value!r}")
        for value in ("yes", 2, None)
    ),
]
MIXERS = [
    ({"mixer": "transmix"}, "needs a backbone with the attention of a class token, such as .*, got 'resnet8'$"),
    ({"mixer": "mergemix"}, "'mergemix' needs the backbone 'deit_small' or 'vit_tiny_32', .*, got 'resnet8'$"),
    *(
        ({"mixer": "manifoldmix", "mixer.layers": layers}, r"layers must lie in 0\.\.3")
        for layers in ((), (4,), (-1,), (0, 7))
    ),
    ({"mixer": "gridmix", "mixer.holes": (3, 2)}, r"holes .* got \(3, 2\)"),
    *(
        ({"mixer": "resizemix", "mixer.scope": scope}, r"scope must be two rising shares of a side, .* got")
        for scope in ((0.8, 0.1), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1))
    ),
    ({"mixer": "attentivemix", "mixer.top_k": 65}, "top_k must be between 1 and 64"),
    ({"mixer": "supermix", "mixer.teacher": "nowhere.pt"}, r"got 'nowhere\.pt'"),
    *(
        ({"mixer": mixer, "mixer.groups": 2}, r"whole batch.*: mixer\.groups must be 1, got 2$")
        for mixer in ("manifoldmix", "alignmix", "automix", "samix", "adautomix")
    ),
    ({"mixer": "adautomix", "mixer.pipeline": "mp"}, "mixer.pipeline must be 'mp_ce', got 'mp'"),
    ({"clean_loss": 1.0, "sumix.raw_forward": "train_nograd"}, r"or 'joint' with clean_loss 1\.0, .*'train_nograd'$"),
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
        *(*IMAGES, *NETWORKS, *STEPS, *MIXERS, *SUMIX),
        *(({"mixer": "automix", **keys}, message) for keys, message in AUTOMIX),
    ],
)
def test_what_cannot_be_run_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        check({**BASE, **keys})
