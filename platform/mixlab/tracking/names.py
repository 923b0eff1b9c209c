"""Every name that the platform uses in MLflow: tags, levels and artifacts.

The writer and the analysis both take them from here.
"""

from mixlab.spec.trial import State

# Tags of a run.
LEVEL = "mixlab.level"  # one of the three levels of a study or a search
STUDY = "mixlab.study"
PLAN = "mixlab.plan"  # the identity of the plan
CELL = "mixlab.cell"  # levels and arm, such as "cutmix · + lam"
ARM = "mixlab.arm"
KEY = "mixlab.key"
SEED = "mixlab.seed"
TRIAL = "mixlab.trial"  # the number of a search's trial in its arm
STATE = "mixlab.state"  # a ``State`` in words
BEST = "mixlab.best"  # "true" for the best trial of a search's arm
ERROR = "mixlab.error"  # the last line of the error that made a trial fail
COMMIT = "mixlab.commit"
DIRTY = "mixlab.dirty"
PATCH = "mixlab.patch"  # a hash of the uncommitted changes
CONSTRAINTS = "mixlab.constraints"
VERSIONS = "mixlab.versions"
DRIVER = "mixlab driver of "  # an experiment's tag, with a plan's identity after it: who writes its runs
COMMAND = "mixlab.command"
WORD = "mixlab."  # precedes the name of each word that a trainable reports
DATA = "mixlab.data"
HARDWARE = "mixlab.hardware"
PARENT = "mlflow.parentRunId"
RUN_NAME = "mlflow.runName"
NOTE = "mlflow.note.content"
TABLE_SEEDS = "mixlab.table_seeds"  # the number of seeds in the plan of the last table; older stores lack it

# MLflow's word for the state of a run, and the reverse.
STATUS = {
    State.RUNNING: "RUNNING",
    State.DONE: "FINISHED",
    State.PRUNED: "FINISHED",
    State.FAILED: "FAILED",
    State.INTERRUPTED: "KILLED",
}
STATES = {
    "FINISHED": State.DONE,
    "FAILED": State.FAILED,
    "KILLED": State.INTERRUPTED,
    "RUNNING": State.RUNNING,
    "SCHEDULED": State.RUNNING,
}

# Levels: of a study, and of a search.
STUDY_LEVELS = ("study", "arm", "seed")
SEARCH_LEVELS = ("search", "arm", "trial")
COPYING = "copying"  # the level of a run that a merge copies, until it is whole

# The tags that no two runs of a level share; parents come first, and the tag that fewest runs have is the last.
IDENTITY = {
    "study": (LEVEL, PLAN),
    "search": (LEVEL, PLAN),
    "arm": (LEVEL, CELL, PLAN),
    "seed": (LEVEL, KEY),
    "trial": (LEVEL, KEY),
}

# Artifacts.
PLAN_FILE = "plan.json"
PATCH_FILE = "uncommitted-{}.patch"  # {} stands for the patch's tag
CONFIG_FILE = "config.json"
TRACEBACK_FILE = "traceback.txt"
HISTOGRAMS_FILE = "histograms.json"  # {"epochs": [1, ...], NAME: [[shares of epoch 1], ...]}
MODEL_FILE = "model.pt"
PREDICTIONS_FILE = "predictions.npz"
KEPT_FILES = ("model*.pt", PREDICTIONS_FILE, "genotype.json")  # patterns of a finished trial's files that go to MLflow

# Prefixes of the columns of a frame of runs, so that a factor may be called "seed" or "epochs".
FACTOR, CONFIG, METRIC = "factor.", "config.", "metric."
