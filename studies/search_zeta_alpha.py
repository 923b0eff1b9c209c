"""Is SUMix worth it once it and the plain mixer are tuned alike? CIFAR-100, ResNet-18, on a GPU cluster.

    python studies/search_zeta_alpha.py --address auto --gpus-per-trial 0.25     4 mixers x 3 arms x 30 trials
    python studies/search_zeta_alpha.py --preset quick                           CIFAR-10, minutes on a laptop
    python analysis/search_report.py search_zeta_alpha                           maps, importance, warnings

Every mixer is tuned plain (its alpha), with SUMix (alpha and zeta), and as the control "raw pass", which runs the batch
before mixing as SUMix does and learns nothing from it (alpha); all three get the same number of trials. A trial is
judged on a tenth of the training images, held out. Each winner is then trained for 800 epochs on all training images,
with six fresh seeds, and tested: only those runs enter the tables, one a mixer. At 200 epochs a trial costs a
quarter of a run of the paper, and one in four of those that ASHA starts continues at each of its rungs.

Expected, from the paper: zeta 0.5 and alpha 0.2 are what it uses with CutMix (79.78 %, Table 6); it gives no search.
"""

from mixlab import Arm, Float, Search, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, SUMIX

QUICK = {"dataset": "cifar10", "train_images": 1000, "validation": 0.25, "test_images": 2000, "epochs": 5, "seeds": 2}

study = Search(
    study=Study(
        name="search_zeta_alpha",
        base={**CIFAR100_RESNET18, "sumix.lam": "fixed", "sumix.regulariser": "none", "sumix.zeta": 0.0},
        factors={"mixer": ("cutmix", "mixup", "saliencymix", "fmix")},
        arms=(Arm("plain", {}), Arm("raw pass", {"sumix.regulariser": "s"}, control=True), Arm("sumix", SUMIX)),
        presets={"quick": QUICK},
    ),
    space={
        "sumix.zeta": Float(0.05, 2, log=True, when={"sumix.regulariser": ("su",)}),
        "mixer.alpha": Float(0.1, 4, log=True),
    },
    objective="val_top1",
    tuning={"validation": 0.1, "evaluate": "validation", "epochs": 200},
    budget=360,
    budgets={"quick": 48, "smoke": 12},
    sampler="tpe",
    scheduler="asha",
)

if __name__ == "__main__":
    main(study, classify.train)
