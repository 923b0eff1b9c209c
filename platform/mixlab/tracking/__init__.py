"""MLflow: what is written there, and how it is read."""
