"""Frozen networks: what they are fed and what they put out, computed once."""
