"""Makes tables, statistics and figures from tracked runs: it reads MLflow, never writes to it, and never trains."""

import os
import sys
from pathlib import Path

# Without this, both would report their use to their makers over the internet.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# A command that is run as a script has this folder first on its path, where ``statistics`` would hide Python's own.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]
