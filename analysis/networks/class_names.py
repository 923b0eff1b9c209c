"""The names of the classes of a data set, for figures."""

import re
from pathlib import Path

from torchvision.models import ResNet18_Weights

from trainables.config import Config
from trainables.datasets.cifar8 import HELD_OUT
from trainables.datasets.dataset import Images
from trainables.datasets.file_list import FileList
from trainables.datasets.opening import dataset_of

OF_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
OF_FASHION = "t-shirt trouser pullover dress coat sandal shirt sneaker bag ankle_boot"
OF_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree
wolf woman worm
"""
CIFAR10 = OF_CIFAR10.split()
KNOWN = {
    "cifar10": CIFAR10,
    "cifar8": [name for label, name in enumerate(CIFAR10) if label not in HELD_OUT],
    "cifar100": OF_CIFAR100.split(),
    "fashion_mnist": OF_FASHION.split(),
    "imagenet": ResNet18_Weights.IMAGENET1K_V1.meta["categories"],
}


def class_names(config: Config, images: Images) -> list[str]:
    """Return a name for every class: its own, that of the folder of its images among these, or "class 17"."""
    if config.dataset in KNOWN:
        return [name.replace("_", " ") for name in KNOWN[config.dataset]]
    names = {label: f"class {label}" for label in range(dataset_of(config).num_classes)}
    if isinstance(images, FileList):
        for index, label in enumerate(images.labels.tolist()):
            folder = Path(images.name(index)).parent.name
            if folder and folder not in ("images", "val", "test"):  # flat: the folder is of no class
                names[label] = re.sub(r"^\d+[._]", "", folder).replace("_", " ")
    return list(names.values())
