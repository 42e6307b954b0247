"""Europeana's records: search by cursor, entities, refresh."""
