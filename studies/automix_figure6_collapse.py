"""AutoMix without the momentum pipeline, where its masks become even, and with it (AutoMix, Fig. 6).

    python studies/automix_figure6_collapse.py                    2 arms x 6 seeds of ResNet-18 on Tiny-ImageNet
    python studies/automix_figure6_collapse.py --preset quick     2 arms x 3 seeds of ResNet-8 on CIFAR-10, half an hour

Paper: without the pipeline the Mix Block ends in a trivial solution, its masks mix every pixel alike, and AutoMix has
become mixup; top-1 %, median of the last 10 epochs, of ResNet-18 on Tiny-ImageNet (Table 8)
    none     64.84
    mp       67.19

The metric mask_spread says how uneven the masks are: 0 is mixup.
    python analysis/ablation_table.py automix_figure6_collapse --metric mask_spread    after the last epoch
    python analysis/mixtures.py automix_figure6_collapse                               the masks, by lambda and epoch
In a short run the block needs a larger rate than the network, and the slow copy a smaller m, to leave their starts in
time.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import ON_CIFAR10, TINY_IMAGENET, cell_settings

study = Study(
    name="automix_figure6_collapse",
    base={**TINY_IMAGENET, "mixer": "automix", "automix.preset": "paper"},
    settings=cell_settings,
    arms=(Arm("none", {"mixer.pipeline": "none"}), Arm("mp", {"mixer.pipeline": "mp"})),
    presets={
        **ON_CIFAR10,
        "quick": {
            **ON_CIFAR10["quick"],
            "train_images": 8000,
            "test_images": 2000,
            "epochs": 8,
            "lr": 0.1,
            "mixer.block_lr": 4.0,
            "seeds": 3,
        },
    },
)

if __name__ == "__main__":
    main(study, classify.train)
