"""The definitions and the terms of SUMix that a study chooses from; ``sumix.py`` defines them."""

from dataclasses import dataclass
from typing import Literal

from trainables.ranges import NotNegative


@dataclass(frozen=True, kw_only=True)
class SUMixTerms:
    """The definition and the terms of SUMix, one row of the paper's Table 6; a study writes them ``sumix.lam``, ...

    An option of a term that is switched off is not read, so that an arm may switch it off by one key. With lambda fixed
    and no regulariser none of them is read, except those of the raw pass if ``clean_loss`` is on.
    """

    preset: Literal["paper", "release"] = "paper"  # release: the arithmetic of the released code, ``sumix_release.py``
    lam: Literal["fixed", "learned"] = "learned"
    regulariser: Literal["none", "s", "u", "su"] = "su"  # s: semantic distance, u: uncertainty, su: both
    zeta: NotNegative = 0.5  # weight of the regulariser, Eq. 3
    # The factor of the distance of Eq. 4, for a learned lambda: 1 in the paper. "release" has it times N, in Eq. 6 too.
    sem_scale: NotNegative = 1.0
    # Ways to run the batch before mixing: with gradient, without, or without and in evaluation mode; joint: in one pass
    # with the mixed batch, so that batch norm normalises both by the statistics that they have together. Only the
    # uncertainty "u" and ``clean_loss`` pass any gradient.
    raw_forward: Literal["train_grad", "train_nograd", "eval_nograd", "joint"] = "train_grad"
    # keep: that pass moves the running statistics of batch norm too, as in the release, so that they settle sooner than
    # those of a baseline; leave: only the mixed batch moves them, as in any case with eval_nograd. The paper does not
    # say.
    raw_statistics: Literal["keep", "leave"] = "keep"
    # The gradient of "s", ||sigma(z~ - z)|| in Eq. 6, through z~. The paper lets it flow, the release detaches it.
    distance_gradient: Literal["flow", "detach"] = "flow"
    # The z of Eq. 4 and 6, "feature vectors" in the paper. The release takes probabilities, as does its own preset.
    # With features or probabilities Eq. 4 hardly moves lambda; features have no classes, so that Eq. 6 takes their
    # norm, as the paper writes it: one number for all classes.
    z: Literal["logits", "features", "probabilities"] = "logits"
    # The gradient of a learned lambda, lambda~ in Eq. 4, "learnable" in the paper, through z~. The release detaches it.
    lam_gradient: Literal["detach", "flow"] = "detach"
    # The lambda~ that weighs a row: its own, or the mean over the batch, which is all that enters the release's loss.
    lam_of: Literal["row", "batch"] = "row"

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for terms that do not go together."""
        if self.z == "features" and self.regulariser == "s":
            raise ValueError(
                "sumix.regulariser must be 'none', 'u' or 'su' with sumix.z 'features', whose distance is the same for "
                "every class, got 's'"
            )
        if self.raw_forward == "joint" and self.raw_statistics == "leave":
            raise ValueError(
                "sumix.raw_statistics must be 'keep' with sumix.raw_forward 'joint', which is one pass, got 'leave'"
            )
        if self.preset == "release":
            paper = SUMixTerms()
            for name in ("distance_gradient", "z", "lam_gradient", "lam_of"):
                if getattr(self, name) != getattr(paper, name):
                    raise ValueError(
                        f"sumix.{name} is an option of sumix.preset 'paper', got {getattr(self, name)!r} with 'release'"
                    )

    @property
    def any(self) -> bool:
        """Return whether the loss differs from the plain mixed cross-entropy."""
        return self.lam == "learned" or self.regulariser != "none"

    @property
    def learns_before_mixing(self) -> bool:
        """Return whether gradient flows into the batch before mixing: only its uncertainty, Eq. 5, passes any."""
        return "u" in self.regulariser
