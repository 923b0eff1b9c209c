"""What is done to each training image before the batch is mixed."""
