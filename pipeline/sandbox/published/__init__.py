"""Europeana and the museums behind a folder of published files, as far as its rows tell of them."""
