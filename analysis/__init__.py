"""From tracked runs to tables, statistics and figures: reads MLflow, never trains and never writes to it."""

import os
import sys
from pathlib import Path

# Unless asked, both would report to their makers over the internet what is used.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# A command that is run as a script has this folder first on its path, where ``statistics`` would hide Python's own.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]
