"""Exports: the tags of images as published CSV, EDM, Web Annotations and LIDO."""
