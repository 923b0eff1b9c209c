"""The momentum pipeline under three mixers (AutoMix, Table 8).

    python studies/automix_table8_pipeline.py                    3 data sets x 3 mixers x 4 arms x 6 seeds
    python studies/automix_table8_pipeline.py --preset quick     3 mixers x 4 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper, top-1 %, median of the last 10 epochs, mean of 3 runs, of ResNet-18: mixup, CutMix and the Mix Block on
CIFAR-100, then on Tiny-ImageNet, then on ImageNet-1k
            mixup  cutmix  automix  mixup  cutmix  automix  mixup  cutmix  automix
    none    79.12  78.17   79.46    63.39  64.40   64.84    69.98  68.95   70.04
    mp_m0   -      -       81.75    -      -       67.05    -      -       70.41
    mp      80.82  79.57   81.93    66.02  65.72   67.19    70.13  70.02   70.45
    mp_ce   80.41  79.64   82.04    66.10  65.05   67.33    70.10  70.04   70.50

none: one network, which for AutoMix gets the masks' gradient too; mp_m0: its copy has the same weights after every
step, which changes nothing for mixup and CutMix but the copy that is tested; mp: the copy follows slowly; mp_ce: the
network learns from plain images too. With --preset quick the copy is less slow: otherwise it would hardly have left its
start.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, IMAGENET_RESNET18, ON_CIFAR10, TINY_IMAGENET, cell_settings

study = Study(
    name="automix_table8_pipeline",
    base=CIFAR100_RESNET18,
    factors={
        "dataset": {"cifar100": CIFAR100_RESNET18, "tiny_imagenet": TINY_IMAGENET, "imagenet": IMAGENET_RESNET18},
        "mixer": ("mixup", "cutmix", "automix"),
    },
    settings=cell_settings,
    arms=(
        Arm("none", {"mixer.pipeline": "none"}),
        Arm("mp_m0", {"mixer.pipeline": "mp_m0"}),
        Arm("mp", {"mixer.pipeline": "mp"}),
        Arm("mp_ce", {"mixer.pipeline": "mp_ce"}),
    ),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
