"""Object detection with a classifier as the backbone, to see what it has learned that transfers."""
