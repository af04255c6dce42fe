"""Drawn stand-ins of datasets that are downloaded by hand: their layout and names, for trying things out."""

from standin.write import KINDS, write_standin

__all__ = ["KINDS", "write_standin"]
