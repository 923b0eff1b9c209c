"""The statistics of a study: what its numbers allow to claim."""
