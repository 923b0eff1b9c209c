"""Object detection with a classifier as the backbone, which shows how well its features transfer."""
