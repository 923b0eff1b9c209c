"""The augmentation of each training image before the batch is mixed."""
