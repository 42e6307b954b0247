"""Exports: the tags of images in the formats of other programs, one module each."""
