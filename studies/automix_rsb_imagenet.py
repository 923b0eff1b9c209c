"""AutoMix in the procedures of "ResNet strikes back": ImageNet-1k, ResNet-50 (AutoMix, appendix A.3).

    python studies/automix_rsb_imagenet.py                    2 procedures x 2 arms x 6 seeds, 100 or 300 epochs
    python studies/automix_rsb_imagenet.py --preset quick     2 arms x 6 seeds of ResNet-8 on CIFAR-10

Published, top-1 %, median of the last 5 epochs of A3, of the last 10 of A2 (OpenMixup's ImageNet benchmark, which has
the paper's numbers)
                  A3     A2
    RSB           78.08  79.80
    AutoMix       78.44  80.28

A3 trains 100 epochs at 160 pixels, A2 300 at 224; both mix by mixup and CutMix in turn and have a sigmoid for each
class.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import ON_CIFAR10, RSB_A2, RSB_A3, Recipe, automix_settings


def without_mixer(recipe: Recipe) -> Recipe:
    """Return a recipe whose arms say how it mixes."""
    return {key: value for key, value in recipe.items() if not key.startswith("mixer")}


study = Study(
    name="automix_rsb_imagenet",
    base={},
    factors={"procedure": {"A3": without_mixer(RSB_A3), "A2": without_mixer(RSB_A2)}},
    settings=automix_settings,
    arms=(
        Arm("RSB", {"mixer": "mixup_cutmix", "mixer.mixup_alpha": 0.1}),
        # The rates of the block that come with ImageNet are SGD's.
        Arm("AutoMix", {"mixer": "automix", "mixer.block_lr": None, "mixer.block_min_lr": None}),
    ),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
