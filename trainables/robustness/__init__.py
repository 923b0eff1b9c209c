"""The robustness of a trained classifier to occlusion, corruption and attacks, and how well it is calibrated."""
