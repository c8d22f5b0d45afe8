"""Vectors of other models as soft targets."""
