"""The metrics of classification: names, units, directions, and the rules that make one value of a run's epochs.

``Metric`` has the fields that a platform reads; nothing here depends on one. A rule such as ``median10`` is applied by
the platform, which calls the result ``test_top1_median10``: the median of the last ten epochs, of all where there are
fewer. ``last``, ``best`` and ``bestN`` are the last value, and the best of all and of the last N epochs; of a test
metric these two are chosen on the test set.
"""

from dataclasses import dataclass

# A study compares the first: most tables of the papers have the median of the last 10 epochs, SUMix's Table 1 on
# ImageNet that of the last 5, and its Table 3 the best of the last 10.
RULES = ("median10", "last", "median5", "best", "best10")


@dataclass(frozen=True)
class Metric:
    """A number that is reported after an epoch."""

    name: str
    unit: str = ""
    digits: int = 2  # decimals that are shown
    higher_is_better: bool | None = None  # None: the number is only logged
    rules: tuple[str, ...] = ()
    label: str = ""


METRICS = (
    Metric("test_top1", "%", 2, True, RULES, "top-1 accuracy on the test set"),
    Metric("test_top5", "%", 2, True, (), "top-5 accuracy on the test set"),
    Metric("test_top1_error", "%", 2, False, RULES, "top-1 error on the test set"),
    Metric("test_top5_error", "%", 2, False, RULES, "top-5 error on the test set"),
    Metric("val_top1", "%", 2, True, RULES, "validation top-1 accuracy"),
    Metric("val_loss", "nats", 4, False, (), "validation loss"),
    Metric("train_loss", "nats", 4, False, (), "training loss"),
    Metric("train_seconds", "s", 1, None, (), "training time of an epoch"),
    Metric("evaluation_seconds", "s", 1, None, (), "time of the evaluation after an epoch"),
    # Reported after the last epoch.
    Metric("train_seconds_total", "s", 0, None, (), "training time"),
    Metric("step_seconds", "s", 4, None, (), "training time of a step"),
    Metric("compile_speedup", "", 2, None, (), "speed of a compiled step over one that is not"),
    Metric("graph_speedup", "", 2, None, (), "speed of a step as a CUDA graph over one that is not"),
    Metric("params", "", 0, None, (), "parameters of the network"),
    Metric("peak_memory_mib", "MiB", 0, None, (), "peak memory"),
    # Reported with SUMix.
    Metric("lam", "", 3, None, (), "lambda of the loss"),
    Metric("lam_std", "", 3, None, (), "spread of lambda over a batch"),
    Metric("lam_min", "", 3, None, (), "least lambda of a batch"),
    Metric("lam_max", "", 3, None, (), "greatest lambda of a batch"),
    Metric("lam_shift", "", 3, None, (), "distance of lambda from the mixer's"),
    Metric("regulariser", "nats", 4, None, (), "regulariser before zeta"),
    Metric("regulariser_logits", "", 5, None, (), "mean logit of the regulariser"),
    Metric("regulariser_gradient", "", 4, None, (), "gradient of the regulariser at a mixed image's features"),
    # Reported with AugMix, and with AutoMix.
    Metric("consistency", "nats", 4, None, (), "divergence of the predictions of an image's mixtures"),
    Metric("loss_one", "nats", 4, None, (), "loss of the images as they are"),
    Metric("loss_even", "nats", 4, None, (), "loss of the even mixtures"),
    Metric("likeness", "", 4, None, (), "likeness of a mixture's logits to its images'"),
    Metric("loss_block", "nats", 4, None, (), "loss of the block that makes the masks"),
    Metric("mask_gap", "", 4, None, (), "distance of the masks' share from lambda"),
    Metric("mask_spread", "", 5, None, (), "spread of a mask's pixels"),
    Metric("test_top1_teacher_one", "%", 2, True, (), "top-1 accuracy of the teacher's head for plain images"),
    Metric("test_top1_student_mixed", "%", 2, True, (), "top-1 accuracy of the student's head for mixed images"),
    Metric("test_top1_student_one", "%", 2, True, (), "top-1 accuracy of the student's head for plain images"),
)
