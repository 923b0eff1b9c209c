"""Pure torch: what a trial trains and evaluates. Imports neither ray, mlflow nor mixlab."""
