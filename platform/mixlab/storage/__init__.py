"""Checkpoints and the journal of epochs, in a folder or behind a URI."""
