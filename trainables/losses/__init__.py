"""Losses, and the modules that are trained with them."""
