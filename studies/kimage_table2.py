"""DMixup and DCutMix against mixers that optimise: CIFAR-100, three networks (K-image mixing, Table 2).

    python studies/kimage_table2.py                                      3 networks x 7 arms x 6 seeds, 300 epochs
    python studies/kimage_table2.py --preset quick                       a quarter of an hour on a laptop, on CIFAR-10
    python analysis/ablation_table.py kimage_table2 --ratios train_seconds_total     with what each arm costs

Paper, top-1 error %, the best epoch, and the training time as a multiple of that without mixing
                  none   mixup  cutmix  puzzlemix  comixup  dmixup  dcutmix
    PreAct-RN-18  23.59  22.43  21.29   20.62      19.87    21.68   20.50
                         1.04x  1.10x   2.73x      29.34x   1.14x   1.07x
    WRN-16-8      21.70  20.08  20.55   19.24      19.15    19.13   18.64
                         1.02x  1.04x   2.25x      13.46x   1.02x   1.01x
    ResNeXt-29    21.79  21.70  22.28   21.12      19.78    20.09   20.48
                         1.02x  1.05x   2.22x      6.93x    1.02x   1.02x

StyleCutMix, which needs the weights of a style network, is in kimage_style. The paper does not state the recipe, K
and alpha of this table. Here they are the recipe of Co-Mixup, whose baselines it seems to print, and K and alpha of
PyramidNet-110.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_PREACT_RESNET18, CIFAR100_RESNEXT29, CIFAR100_WRN16_8, ON_CIFAR10

study = Study(
    name="kimage_table2",
    base=CIFAR100_PREACT_RESNET18,
    factors={
        "backbone": {
            "preact_resnet18": CIFAR100_PREACT_RESNET18,
            "wrn16_8": CIFAR100_WRN16_8,
            "resnext29": CIFAR100_RESNEXT29,
        }
    },
    arms=(
        Arm("none", {"mixer": "none"}),
        Arm("mixup", {"mixer": "mixup", "mixer.alpha": 1.0}),
        Arm("cutmix", {"mixer": "cutmix", "mixer.alpha": 1.0}),
        Arm("puzzlemix", {"mixer": "puzzlemix", "mixer.alpha": 1.0}),
        Arm("comixup", {"mixer": "comixup", "mixer.alpha": 2.0, "clean_loss": 2.0}),  # as in its own code
        Arm("dmixup", {"mixer": "dmixup", "mixer.num_images": 3, "mixer.alpha": 1 / 3}, against="mixup"),
        Arm("dcutmix", {"mixer": "dcutmix", "mixer.num_images": 5, "mixer.alpha": 0.2}, against="cutmix"),
    ),
    metric="test_top1_error_median10",
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
