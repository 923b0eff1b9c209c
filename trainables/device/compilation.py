"""The stages of a backbone compiled by torch, and what that gains.

``torch._dynamo.config`` is private to torch in the version that ``constraints.txt`` pins.
"""

import copy
import os
import shlex
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from trainables.backbones.backbone import Backbone
from trainables.device.hardware import DRIVER, seconds_of

GRAPHS = 256  # for all stages, and each shape of batch in training and in testing; torch's own limit for all code
PASSES = 3  # timed passes of each kind; the fastest counts, because others may be using the machine


def require_compiler() -> None:
    """Raise ``ValueError`` unless this machine has torch's C++ compiler, or has a GPU and a C compiler, for Triton.

    What either compiles includes the headers of Python.
    """
    commands = [os.environ.get("CXX", "g++")]
    if DRIVER.exists():  # Ray hides the GPU itself from who asks here
        commands += [os.environ.get("CC", "gcc"), "clang"]
    if not any(shutil.which(word) for command in commands for word in shlex.split(command)[:1]):
        raise ValueError("compile=true needs a C++ compiler: install g++, or name another one in CXX")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise ValueError(f"compile=true needs {str(header)!r}: install python3-dev, or whatever has it for this Python")


def compile_stages(method: nn.Module) -> None:
    """Let torch compile every stage of every backbone in place; names and numbers of the weights stay.

    The stages share one piece of code, of which torch by default compiles eight graphs, and runs further stages
    uncompiled. A ResNet-18 needs 16, and the graphs of earlier runs in this process count too.
    """
    from torch._dynamo import config  # takes a second, which only compiled runs wait for

    torch.compiler.reset()
    config.recompile_limit = GRAPHS
    for backbone in [module for module in method.modules() if isinstance(module, Backbone)]:
        for stage in backbone.stages:
            stage.compile()


def compile_speedup(method: nn.Module, passes: Callable[[], object]) -> float:
    """Return how many times as fast compilation makes the passes of a step; the method stays as it is.

    The method's stages are compiled, and ``passes``, which sends a batch through it and back, has been called before.
    """
    state = copy.deepcopy(method.state_dict())
    method.train()
    speedup = _least_seconds(passes, "force_eager") / _least_seconds(passes, "default")
    method.zero_grad()
    method.load_state_dict(state)
    return speedup


def _least_seconds(passes: Callable[[], object], stance: Literal["default", "force_eager"]) -> float:
    with torch.compiler.set_stance(stance):
        return min(seconds_of(passes) for _ in range(PASSES))
