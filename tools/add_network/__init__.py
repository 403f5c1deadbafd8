"""Add a network that is not in the default pipeline."""
