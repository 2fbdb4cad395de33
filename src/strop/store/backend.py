"""What a database must offer to the Store; `sqlite` and `postgresql` are its implementations."""

from contextlib import AbstractContextManager
from typing import ClassVar, Literal, Protocol

from sqlalchemy import Connection

from strop.errors import StoreError

DialectName = Literal["sqlite", "postgresql"]


class Backend(Protocol):
    """Connections and transactions of one database. `url` never shows a password."""

    url: str
    dialect: ClassVar[DialectName]

    def read(self) -> AbstractContextManager[Connection]:
        """One read-only snapshot."""
        ...

    def single(self) -> AbstractContextManager[Connection]:
        """A connection for one statement that reads, perhaps without a transaction around it."""
        ...

    def write(self, *, exclusive: bool) -> AbstractContextManager[Connection]:
        """One transaction, committed at the end, rolled back on error."""
        ...

    def upgrading(self) -> AbstractContextManager[Connection]:
        """One transaction for changing the schema, alone among all processes."""
        ...

    def refuse_foreign(self, connection: Connection) -> None:
        """Raise StoreError when a database without our version row is somebody else's."""
        ...

    def settle(self) -> None:
        """Called when the schema is current: what a database needs before its first use."""
        ...

    def explain(self, error: Exception, *, writing: bool) -> StoreError | None:
        """The driver's error in our words, or None when it is not about the database's state."""
        ...

    def close(self) -> None: ...
