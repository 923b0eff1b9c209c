"""The ablation in its smallest form on real images, for tests that start it as a user does."""

from pathlib import Path

from tests.study_folder import StudyFolder

ROOT = Path(__file__).parents[2]
STUDY = "ablation_cifar100"
SMALL = (
    *("--preset", "smoke", "--dataset", "cifar10", "--data-root", str(ROOT / "data")),
    *("--mixers", "cutmix", "--arms", "+ lam", "--seeds", "1", "--epochs", "4"),
)


def study_folder(folder: Path, empty_store: Path) -> StudyFolder:
    return StudyFolder(folder, STUDY, (str(ROOT / "studies" / f"{STUDY}.py"), *SMALL), empty_store)
