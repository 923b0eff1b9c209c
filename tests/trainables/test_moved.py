"""The version of the numbers in a trial's key rises for the configurations that a change concerns, and for no other."""

import pytest

from mixlab.spec.complete import complete
from tests.trainables.refusal import FOLDER
from trainables import classify

BLOCK = {"mixer": "automix", "mixer.block_lr": 0.1}
WARM = {"warmup_epochs": 5}
RANDAUGMENT = {"augment.randaugment": "increasing"}
LEVIT = {"backbone": "timm/levit_128s", "image_size": 224}


@pytest.mark.parametrize(
    ("config", "version"),
    [
        ({}, None),
        ({"mixer": "automix", **WARM}, None),
        (BLOCK, None),
        ({**BLOCK, **WARM}, 2),
        (RANDAUGMENT, 2),
        ({"mixer": "augmix"}, None),
        ({"mixer": "augmix", "mixer.legacy": True}, 2),
        ({"mixer": "adautomix"}, 2),
        ({"mixer": "adautomix", **RANDAUGMENT}, 3),
        ({"mixer": "adautomix", "mixer.block_lr": 0.1, **WARM, **RANDAUGMENT}, 4),
        ({**FOLDER, "test_size": 288}, 2),
        ({**FOLDER, "resize": 288}, 2),
        ({**FOLDER, "resize": 288, "augment": "rrc_flip"}, None),
        ({"recalibrate": True}, None),
        (LEVIT, None),
        ({**LEVIT, "recalibrate": True}, 2),
        ({**LEVIT, "sumix.raw_statistics": "leave"}, 2),
    ],
)
def test_each_change_of_the_code_raises_the_version_of_the_numbers_that_it_moves(config, version):
    completed = complete(classify.train)
    assert completed.hashed(completed.read(config).flat).get("numbers") == version
