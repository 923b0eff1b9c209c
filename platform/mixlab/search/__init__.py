"""The trials of a search, which Optuna's storage holds, and the choice of the next ones."""
