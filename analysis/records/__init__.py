"""The records: runs and plans that MLflow holds, trials of searches, and the numbers that papers print."""

from analysis.records.runs import load_curves, load_plan, load_runs

__all__ = ["load_curves", "load_plan", "load_runs"]
