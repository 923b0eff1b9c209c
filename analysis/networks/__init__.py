"""Evaluates the trained networks of a study."""
