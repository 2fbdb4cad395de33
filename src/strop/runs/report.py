"""Writes what a run found out beside the database: a JSON file, and an HTML page that needs no network."""
