"""Looks for what goes wrong on a cluster, before a study does: ``python -m mixlab.doctor --address HOST:PORT``."""
