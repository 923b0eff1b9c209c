"""One start of the command: it finds what is missing and what that costs, runs it, shows it, and ends."""
