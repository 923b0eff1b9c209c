"""The specs: studies, arms, searches and their spaces. The package imports the standard library only."""
