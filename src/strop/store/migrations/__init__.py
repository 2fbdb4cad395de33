"""Alembic's home: one file a revision, made by `scripts/make_migration.py`."""
