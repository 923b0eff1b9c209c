"""Every mixer by its name. A mixer is one file and one line here."""
