"""The version of a configuration's numbers, which rises with each change of the code that moves them.

It is part of a trial's key: a run from before such a change is trained again, and no other run is.
"""

from collections.abc import Callable, Mapping
from typing import Any

# The configurations that each change concerns; CHANGELOG.md says what it was. An entry stays, since without it the runs
# from before the change would count again.
MOVED: tuple[Callable[[Mapping[str, Any]], bool], ...] = (
    # The mask block's own learning rate has no warm-up.
    lambda flat: flat.get("mixer.block_lr") is not None and flat.get("warmup_epochs", 0) > 0,
    lambda flat: flat.get("mixer") == "adautomix",
    lambda flat: flat.get("augment.randaugment", "none") != "none",
    lambda flat: flat.get("mixer.legacy", False),  # of AugMix
    # The options of tests no longer change the training images of a streamed data set.
    lambda flat: (
        flat.get("augment") != "rrc_flip" and any(flat.get(key) is not None for key in ("test_size", "resize"))
    ),
    # The batch norms of tokens, which these families have, count as batch norms.
    lambda flat: (
        flat.get("backbone", "").startswith(("timm/levit", "timm/nextvit"))
        and (
            flat.get("recalibrate", False)
            or flat.get("sumix.raw_statistics", "keep") == "leave"
            or flat.get("mixer") == "adautomix"
        )
    ),
)


def version(flat: Mapping[str, Any]) -> int:
    """Return the version of the numbers that a whole configuration gives: 1, and 1 more for each change since."""
    return 1 + sum(moved(flat) for moved in MOVED)
