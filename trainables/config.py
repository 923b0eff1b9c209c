"""The configuration of a training run: flat dotted keys in a study, frozen dataclasses here.

``parse`` turns one into the other and refuses unknown keys, and values of the wrong type or out of range.
"""

import functools
import inspect
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, Literal, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from trainables.backbones.names import RESIDUAL, constructor_of, require_backbone
from trainables.datasets import DATASETS
from trainables.datasets.data_config import DataConfig, check_data
from trainables.losses.sumix_terms import SUMixTerms
from trainables.mixers import MIXERS, learns_masks, parameters_of
from trainables.mixers.options import AUTOMIX_PRESETS, AutoMixDefinition, EveryMixer, MaskBlock, common_options
from trainables.optimisation.optimiser_config import OptimiserConfig, check_optimiser
from trainables.optimisation.schedules import ScheduleConfig, check_schedule
from trainables.ranges import Count, Init, NotNegative, Positive, Pretrained, Share, ShareBelowOne, Whole
from trainables.refusals import require_known, require_unset

Recipe = dict[str, Any]  # dotted keys and their values
C = TypeVar("C", bound=DataConfig)
NO_SUMIX = SUMixTerms(lam="fixed", regulariser="none")
RELEASED_AUTOMIX = AutoMixDefinition()


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig, OptimiserConfig, ScheduleConfig):
    """Everything that determines the numbers of a run, except its seed."""

    backbone: str = "resnet18"
    init: Init = "om_table"
    pretrained: Pretrained = "none"  # weights to start from; ``init`` then concerns the head alone
    drop_path: ShareBelowOne = 0.0  # probability to skip the last block; grows from 0 with depth
    drop_block: ShareBelowOne = 0.0  # residual networks for small images: the share of a late map that is blanked
    drop_block_size: Count = 7  # the side of a blanked square, in pixels of the map

    batch_size: Count = 100
    accumulate: Count = 1  # parts of a batch that are mixed and normalised by themselves, for one step of all
    drop_last: bool = False  # leave out the epoch's last batch where it is smaller
    loss: Literal["cross_entropy", "binary"] = "cross_entropy"  # binary: one sigmoid a class
    label_smoothing: Share = 0.0  # share of each target that is spread over all classes
    clean_loss: NotNegative = 0.0  # weight of the loss on the unmixed batch, besides that on the mixed batch
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # auto: half on a GPU, float32 elsewhere
    compile: bool = False  # by torch.compile, stage by stage
    cuda_graph: Literal[True, False, "auto"] = False  # on a GPU, take a step as one CUDA graph; auto: where it can be
    deterministic: bool = False  # refuse operations of a GPU that may give other numbers each time
    rerun: Whole = 0  # tells runs of one configuration apart, and changes none of their numbers
    recalibrate: bool = False  # test with batch norm's statistics of unmixed images, taken again before every test

    mixer: str = "none"
    mixer_options: dict[str, Any] = field(default_factory=dict)  # written mixer.alpha, mixer.per_batch, ...
    sumix: SUMixTerms = NO_SUMIX
    automix: AutoMixDefinition = RELEASED_AUTOMIX

    @property
    def part_size(self) -> int:
        """Return the number of images that go through the network at once in training."""
        return self.batch_size // self.accumulate


DEFAULTS = Config()

# Keys with a dot: the part before it, and the field of ``Config`` that holds their values.
SECTIONS = {"sumix": "sumix", "automix": "automix", "augment": "augment_options", "subset": "subset"}

# Options that have been added since the first version, each with the value that leaves every number as it was.
NEUTRAL: dict[str, Any] = {
    "augment.padding": "reflect",
    "normalisation": "openmixup",
    "sumix.raw_statistics": "keep",
    "sumix.distance_gradient": "flow",
    "sumix.z": "logits",
    "sumix.lam_gradient": "detach",
    "sumix.lam_of": "row",
    "accumulate": 1,
    "compile": False,
    "cuda_graph": False,
    "deterministic": False,
    "rerun": 0,
    "recalibrate": False,
    "mixer.probability": 1.0,
    "mixer.groups": 1,
    "mixer.pipeline": None,
    "mixer.label": "area",
    "automix.preset": "release",
    "mixer.masks": "attention",
    "mixer.value_of": "key",
    "mixer.epsilon": 0.1,
    "mixer.mask_adjust": 0.0,
    "mixer.likeness": "lowered",
    "mixer.legacy": False,
    "mixer.derangement": False,
    "mixer.ema": 0.0,
    "mixer.lam_per_batch": False,
    "mixer.partner_alpha": None,
    "mixer.momentum_from": 0.1,
    "mixer.block_lr": None,
    "mixer.block_min_lr": None,
    "mixer.block_momentum": None,
    "drop_block": 0.0,
    "drop_block_size": 7,
    "augment.lighting": 0.0,
    "augment.hue": 0.0,
    "subset.rule": "none",
    "subset.share": 1.0,
    "subset.sampling": "top",
    "subset.scores": None,
    "subset.draw": 0,
}


def parse(config: Mapping[str, Any]) -> Config:
    """Return the typed form of dotted keys, ``{"dataset": "cifar100", "mixer": "cutmix", "mixer.alpha": 0.2, ...}``.

    Missing keys take their defaults. ``ValueError``, one sentence, names the key, the value and the valid ones.
    """
    options = {key.removeprefix("mixer."): value for key, value in config.items() if key.startswith("mixer.")}
    others = {key: value for key, value in config.items() if not key.startswith("mixer.")}
    parsed = typed(others, DEFAULTS, SECTIONS, known=KNOWN)
    require_known("dataset", parsed.dataset, DATASETS)
    require_known("mixer", parsed.mixer, MIXERS)
    require_backbone(parsed.backbone)
    check_optimiser(parsed)
    check_schedule(parsed)
    check_data(parsed)
    if parsed.batch_size % parsed.accumulate:
        raise ValueError(f"accumulate must divide batch_size {parsed.batch_size}, got {parsed.accumulate}")
    preset = AUTOMIX_PRESETS[parsed.automix.preset] if parsed.mixer == "automix" else {}
    parsed = replace(parsed, mixer_options=mixer_options(parsed.mixer, {**preset, **options}))
    _check_network(parsed)
    _check_loss(parsed)
    return parsed


def typed(given: Mapping[str, Any], default: C, sections: Mapping[str, str], known: Collection[str]) -> C:
    """Return ``default`` with the values of dotted keys, each checked; raise ``ValueError`` for a key not ``known``.

    The sections are the parts of keys before a dot, each with the field that holds its values.
    """
    for key in given:
        require_known("key", key, known)
    own_kinds = annotations(cast(Any, type(default)))
    values: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {name: {} for name in sections.values()}
    for key, value in given.items():
        section, dot, name = key.partition(".")
        if dot:
            kind = annotations(getattr(default, sections[section]).__class__)[name]
            nested[sections[section]][name] = checked(key, value, kind)
        else:
            values[key] = checked(key, value, own_kinds[key])
    values |= {name: replace(getattr(default, name), **new) for name, new in nested.items() if new}
    return replace(default, **values)


def flatten(config: DataConfig) -> dict[str, Any]:
    """Return the flat form with every default written out; ``parse`` of it gives ``config`` again."""
    flat: dict[str, Any] = {}
    for key, value in vars(config).items():
        value = vars(value) if is_dataclass(value) else value
        if isinstance(value, dict):  # mixer_options is written mixer.alpha, ...
            flat |= {f"{key.removesuffix('_options')}.{name}": each for name, each in value.items()}
        else:
            flat[key] = value
    return flat


KNOWN = {**flatten(DEFAULTS), "mixer.alpha": None}  # the dotted keys that there are; most mixers have alpha


def _check_network(config: Config) -> None:
    if config.pretrained != "none":
        from trainables.backbones.pretrained import require_pretrained  # the names of the weights are torchvision's

        require_pretrained(config.backbone, config.pretrained)
    here = f"with backbone {config.backbone!r}"
    if config.backbone not in RESIDUAL:  # both are added to residual networks
        require_unset("drop_block", config.drop_block, [0], ", ".join(RESIDUAL), here)
        # A constructor's file may import torchvision, which takes seconds.
        if config.drop_path and "drop_path" not in inspect.signature(constructor_of(config.backbone)).parameters:
            require_unset("drop_path", config.drop_path, [0], "networks that have one", here)


def _check_loss(config: Config) -> None:
    if config.loss == "binary" and (config.label_smoothing or config.sumix.any):
        with_what = "SUMix" if config.sumix.any else f"label_smoothing {config.label_smoothing}"
        raise ValueError(f"loss must be 'cross_entropy' with {with_what}, got 'binary'")
    if config.clean_loss and config.sumix.raw_forward not in ("train_grad", "joint"):
        raise ValueError(
            f"sumix.raw_forward must be 'train_grad' or 'joint' with clean_loss {config.clean_loss}, which needs a "
            f"gradient, got {config.sumix.raw_forward!r}"
        )


def mixer_options(mixer: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every option of ``mixer``: those given, checked against its signature, and its defaults."""
    parameters = parameters_of(MIXERS[mixer])
    common = common_options(given.get("pipeline"), learns_masks(mixer))
    if taken := common.keys() & parameters:
        raise ValueError(f"mixer {mixer!r} must rename its option {min(taken)!r}: every mixer has another of that name")
    defaults = common | {p.name: p.default for p in parameters.values() if p.default is not p.empty}
    for name in given:
        require_known(f"option of {mixer}", f"mixer.{name}", [f"mixer.{p}" for p in defaults])
    kinds = {**annotations(EveryMixer), **annotations(MaskBlock), **annotations(MIXERS[mixer]), "alpha": Positive}
    return {
        name: checked(f"mixer.{name}", given[name], kinds.get(name, Any)) if name in given else default
        for name, default in defaults.items()
    }


@functools.cache
def annotations(kind: Any) -> Mapping[str, Any]:
    """Return the types of a class's fields or of a function's parameters, with the ranges that they may lie in."""
    return typing.get_type_hints(kind, include_extras=True)


# What a value must be, by pydantic's name of the error, where its own words do not fit behind "must be".
WORDS = {
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing"), "a whole number"),
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "missing": "a list of more values",
    "too_long": "a list of at most {max_length} values",
    "too_short": "a list of at least {min_length} values",
}


def checked(key: str, value: Any, kind: Any) -> Any:
    """Return ``value`` as ``kind``; an int where a float is wanted becomes one, and a list a tuple: JSON has none."""
    value = tuple(value) if isinstance(value, list) and list not in (kind, typing.get_origin(kind)) else value
    try:
        return _strict(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        wanted = WORDS.get(first["type"]) or first["msg"].removeprefix("Input should be ").replace("a valid ", "a ")
        raise ValueError(f"{key} must be {wanted.format(**first.get('ctx', {}))}, got {value!r}") from None


@functools.cache
def _strict(kind: Any) -> TypeAdapter[Any]:
    """Return the check of a type, built once: building them was most of the time that ``parse`` took."""
    return TypeAdapter(kind, config=ConfigDict(strict=True))
