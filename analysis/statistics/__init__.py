"""What the numbers of a study can claim."""
