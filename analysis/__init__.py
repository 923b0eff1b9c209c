"""From tracked runs to tables, statistics and figures: reads MLflow, never trains and never writes to it."""
