"""StyleMix and StyleCutMix against CutMix: CIFAR-100, two networks (K-image mixing, Tables 1 and 2).

    python studies/kimage_style.py                    2 networks x 4 arms x 6 seeds, 300 epochs
    python studies/kimage_style.py --preset quick     minutes on a laptop, on CIFAR-10

Both need the weights of AdaIN's style network, which nothing downloads. Make them from the two files of its authors:
    torch.save({"encoder": torch.load("vgg_normalised.pth"), "decoder": torch.load("decoder.pth")}, "data/adain.pt")

Paper, top-1 error %, the best epoch
                        none   cutmix  stylemix  stylecutmix
    PyramidNet-200      16.45  14.47   16.37     14.17
    PreAct-ResNet-18    23.59  21.29             20.49

The recipes are CutMix's code and Co-Mixup's. StyleMix's code mixes half of the batches by StyleCutMix, as CutMix's
does, and a fifth by StyleMix. Unless told otherwise, it sets gamma of StyleCutMix by the distance of two classes'
styles, from a table that it ships; here, as in its variant without that table, gamma is drawn. Which of the two the
paper prints is not said.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_PREACT_RESNET18, CUTMIX_PYRAMIDNET200, ON_CIFAR10

HALF = {"mixer.alpha": 1.0, "mixer.probability": 0.5}
FIFTH = {"mixer.alpha": 0.5, "mixer.probability": 0.2}
STYLE = {"mixer.codec_file": "data/adain.pt"}

study = Study(
    name="kimage_style",
    base=CUTMIX_PYRAMIDNET200,
    factors={
        "backbone": {
            "pyramidnet200": CUTMIX_PYRAMIDNET200,
            "preact_resnet18": {**CIFAR100_PREACT_RESNET18, "augment.padding": "reflect"},
        }
    },
    arms=(
        Arm("none", {"mixer": "none"}),
        Arm("cutmix", {"mixer": "cutmix", **HALF}),
        Arm("stylemix", {"mixer": "stylemix", **STYLE, **FIFTH}),
        Arm("stylecutmix", {"mixer": "stylecutmix", **STYLE, **HALF}, against="cutmix"),
    ),
    metric="test_top1_error_median10",
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
