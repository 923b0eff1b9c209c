"""What MLflow and Optuna hold of a study, as tables; and the numbers that the papers print."""
