"""Optimisers, their options, and the schedules of their learning rates."""
