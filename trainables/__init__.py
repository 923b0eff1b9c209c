"""The training and the evaluation of a trial, in pure torch: neither ray, mlflow nor mixlab is imported."""
