"""What a search has tried, in Optuna's storage, and what it tries next."""
