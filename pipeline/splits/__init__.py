"""Outer, inner and validation split, and what must hold for them."""
