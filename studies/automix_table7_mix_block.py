"""Ablation of the parts of the Mix Block: Tiny-ImageNet (AutoMix, Table 7).

    python studies/automix_table7_mix_block.py                    2 networks x 4 arms x 6 seeds, 400 epochs
    python studies/automix_table7_mix_block.py --preset quick     4 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper, top-1 %, median of the last 10 epochs, mean of 3 runs
                    ResNet-18  ResNeXt-50
    random grids    64.40      66.83
    + attention     66.87      69.76
    + lambda        67.15      70.41
    + l_lambda      67.33      70.72

Each arm is compared with the one before it. All are trained by the momentum pipeline; the paper does not say whether
its random grids are, whose 64.40 is also its CutMix without the pipeline (Table 8). The last arm is AutoMix as the
paper defines it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import ON_CIFAR10, TINY_IMAGENET, cell_settings

study = Study(
    name="automix_table7_mix_block",
    base={**TINY_IMAGENET, "mixer": "automix", "automix.preset": "paper"},
    factors={"backbone": ("resnet18", "resnext50")},
    settings=cell_settings,
    arms=(
        Arm("random grids", {"mixer.masks": "grids"}),
        Arm("+ attention", {"mixer.lam_channel": False, "mixer.mask_weight": 0.0}),
        Arm("+ lambda", {"mixer.mask_weight": 0.0}, against="+ attention"),
        Arm("+ l_lambda", {}, against="+ lambda"),
    ),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
