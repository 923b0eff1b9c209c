"""Makes tables, statistics and figures from tracked runs: it reads MLflow, never writes to it, and never trains."""

import os

# Without this, both would report their use to their makers over the internet.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
