"""A table for the store's tests, beside the house's own, and what a test does with it."""

from sqlalchemy import Column, Integer, MetaData, String, Table, func, select, update

from strop.store import JsonText, Store, UtcDateTime

notes = Table(
    "notes",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("text", String),
    Column("at", UtcDateTime),
    Column("data", JsonText),
)
tally = Table("tally", notes.metadata, Column("name", String, primary_key=True), Column("value", Integer))


def make_tables(store: Store) -> None:
    with store.write() as connection:
        notes.metadata.create_all(connection)


def count(store: Store, name: str) -> None:
    """Read, add one, write back: loses counts unless writers are alone."""
    with store.write() as connection:
        connection.execute(store.insert_ignore(tally), {"name": name, "value": 0})
        value = connection.execute(select(tally.c.value).where(tally.c.name == name)).scalar_one()
        connection.execute(update(tally).where(tally.c.name == name).values(value=value + 1))
        connection.execute(notes.insert(), {"text": f"{name} {value}"})


def tallied(store: Store, name: str) -> int:
    with store.read() as connection:
        return connection.execute(select(tally.c.value).where(tally.c.name == name)).scalar_one()


def texts(store: Store) -> list[str | None]:
    with store.read() as connection:
        return list(connection.execute(select(notes.c.text).order_by(notes.c.id)).scalars())


def number_of_notes(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(notes)).scalar_one()
