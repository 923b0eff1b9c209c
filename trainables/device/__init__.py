"""The processor or GPU that a run trains on: its precision, its memory, and how a step is compiled for it."""
