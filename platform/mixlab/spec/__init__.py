"""What is asked: studies, arms, searches and their spaces. Imports the standard library only."""
