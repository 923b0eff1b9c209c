"""AutoMix among the mixers of transformers: ImageNet-1k in DeiT's style (AutoMix, appendix A.3).

    python studies/automix_deit_imagenet.py                    3 networks x 7 arms x 6 seeds, 300 epochs
    python studies/automix_deit_imagenet.py --preset quick     7 arms x 6 seeds of a small transformer on CIFAR-10

Published, top-1 %, the best epoch, chosen on the test set (OpenMixup's ImageNet benchmark, which has the paper's
numbers)
                  DeiT-S  Swin-T  ConvNeXt-T
    none          75.66   80.21   79.22
    mixup_cutmix  79.80   81.20   82.10
    mixup         77.72   81.01   80.88
    cutmix        80.13   81.33   81.57
    puzzlemix     80.45   81.47   81.48
    resizemix     78.61   81.36   81.64
    automix       80.78   81.80   82.28

mixup_cutmix is DeiT's own mixing. TransMix, 80.68 with DeiT-S, needs a class token, which the other two lack. OpenMixup
trains AutoMix's block in 80 % of the steps here; this trains it in all. OpenMixup's configurations of DeiT-S have a
drop-path, 0.1, under AutoMix alone; here all arms have it, as in DeiT's own code. The short presets train a small
transformer for 32 pixels, whatever the network of the table.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import DEIT, TRANSFORMER_ON_CIFAR10, cell_settings

MIXERS = ("mixup_cutmix", "mixup", "cutmix", "puzzlemix", "resizemix", "automix")

study = Study(
    name="automix_deit_imagenet",
    base={**DEIT, "mixer": "none"},
    factors={"backbone": ("deit_small", "swin_tiny", "convnext_tiny")},
    settings=cell_settings,
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=TRANSFORMER_ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
