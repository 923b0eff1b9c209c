"""Ablation studies on Ray Tune that a reader can trust. The package knows nothing about images."""

import os

# Read when ray is first imported. Every node of a cluster must agree, and Ray's default differs by version.
os.environ.setdefault("RAY_AUTH_MODE", "token")
# Without this, both would report their use to their makers over the internet.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Read when torch is first imported. A thread of OpenMP that waits for another would spin for 10 ms, and keep it from
# the processor where other programs run, too: a training step took three times as long. So many turns are about 0.1 ms,
# and a step on a quiet machine is as fast.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

from mixlab.errors import BadInput, answer_in_a_sentence
from mixlab.installation import require_free_names

answer_in_a_sentence()  # a study is also refused while its script builds it, before ``main`` is called
require_free_names()  # before a library is imported

from mixlab.api import run
from mixlab.cli import main
from mixlab.options import Options
from mixlab.spec.arms import Arm, add_one_in, factorial, leave_one_out
from mixlab.spec.epoch import Epoch
from mixlab.spec.metric import Metric
from mixlab.spec.search import Search
from mixlab.spec.space import Choice, Float, Int
from mixlab.spec.study import Study

__all__ = [
    "Arm",
    "BadInput",
    "Choice",
    "Epoch",
    "Float",
    "Int",
    "Metric",
    "Options",
    "Search",
    "Study",
    "add_one_in",
    "factorial",
    "leave_one_out",
    "main",
    "run",
]
