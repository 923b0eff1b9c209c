"""MLflow: the package writes runs there, and reads them."""
