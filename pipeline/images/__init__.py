"""Fetching, verifying and storing images, and finding near-duplicates among them."""
