"""One start of the command: what is missing, what it costs, what is shown, how it ends."""
