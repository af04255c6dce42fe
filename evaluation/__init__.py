"""What judging has in common for all systems: the course of a script, trained models, image metrics."""
