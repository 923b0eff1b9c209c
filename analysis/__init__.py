"""From tracked runs to tables, statistics and figures: reads MLflow, never trains and never writes to it."""

import os

# Unasked, both would report to their makers over the internet what is used.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
