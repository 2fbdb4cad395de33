"""What Alembic runs: the migrations inside the transaction that the caller has opened."""

from alembic import context

from strop.store.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
