"""AutoMix among ten mixers: transformers and ConvNeXt on CIFAR-100 (OpenMixup's benchmark).

    python studies/automix_vits_cifar100.py                    3 networks x 11 arms x 6 seeds, 200 epochs
    python studies/automix_vits_cifar100.py --preset quick     11 arms x 6 seeds of a small transformer on CIFAR-10

Published, top-1 %, best of the last 10 epochs, which is chosen on the test set
                  DeiT-S  Swin-T  ConvNeXt-T
    none          65.81   78.41   78.70
    mixup         69.98   76.78   81.13
    cutmix        74.12   80.64   82.46
    mixup_cutmix  75.92   81.25   83.09
    saliencymix   69.78   80.40   82.82
    attentivemix  75.98   81.13   82.59
    fmix          70.41   80.72   81.79
    gridmix       68.86   78.54   79.53
    puzzlemix     73.60   80.33   82.29
    resizemix     68.45   80.16   82.53
    automix       76.24   82.67   83.30

The first two see 224 pixels, ConvNeXt 32. Here attentivemix looks through an average of the network that is being
trained, there through a network of ImageNet. automix trains the first two at a learning rate and with a warm-up, a
clipping and a drop-path of its own, as there: a part of its gain may be due to them. The short presets train a small
transformer for 32 pixels, whatever the network of the table.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_DEIT_SMALL, TRANSFORMER_ON_CIFAR10, cell_settings

MIXERS = (
    *("mixup", "cutmix", "mixup_cutmix", "saliencymix", "attentivemix"),
    *("fmix", "gridmix", "puzzlemix", "resizemix", "automix"),
)

study = Study(
    name="automix_vits_cifar100",
    base={**CIFAR100_DEIT_SMALL, "mixer": "none"},
    factors={"backbone": ("deit_small", "swin_tiny", "convnext_tiny_cifar")},
    settings=cell_settings,
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=TRANSFORMER_ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
